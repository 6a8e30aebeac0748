package diagnose

import "strings"

// layer is how near to the hardware a piece of the kernel is. A chain of waits
// leads from low ones to high ones: a program waits for its file system, that
// for a volume, that for a disk.
type layer int8

const (
	layerNone   layer = iota
	layerUser         // futexes, pipes, processes
	layerVFS          // files, directories, memory maps
	layerFS           // a file system's own code
	layerLog          // its journal or log, and writeback
	layerBlock        // the block layer
	layerVolume       // md, dm, loop, drbd, rbd, …
	layerDriver       // a disk's driver, a bus, a GPU, a network card
	layerServer       // another machine or a program that serves a file system
)

// domain is a part of the kernel: by it tasks are said to be at the same thing.
type domain struct {
	name  string
	layer layer
}

// domains is by the beginnings of functions' names; modules by the names of
// modules, where it tells more.
var domains = []struct {
	prefix string
	domain
}{
	{"jbd2_", domain{"ext4", layerLog}},
	{"journal_", domain{"ext4", layerLog}},
	{"kjournald", domain{"ext4", layerLog}},
	{"start_this_handle", domain{"ext4", layerLog}},
	{"__jbd2_", domain{"ext4", layerLog}},
	{"add_transaction_credits", domain{"ext4", layerLog}},
	{"wait_transaction", domain{"ext4", layerLog}},
	{"ext4_", domain{"ext4", layerFS}},
	{"__ext4_", domain{"ext4", layerFS}},
	{"ext3_", domain{"ext4", layerFS}},
	{"ext2_", domain{"ext2", layerFS}},
	{"xlog_", domain{"xfs", layerLog}},
	{"xfs_log_", domain{"xfs", layerLog}},
	{"xfsaild", domain{"xfs", layerLog}},
	{"xfs_buf", domain{"xfs", layerLog}},
	{"xfs_", domain{"xfs", layerFS}},
	{"__xfs_", domain{"xfs", layerFS}},
	{"btrfs_commit_transaction", domain{"btrfs", layerLog}},
	{"transaction_kthread", domain{"btrfs", layerLog}},
	{"btrfs_", domain{"btrfs", layerFS}},
	{"__btrfs_", domain{"btrfs", layerFS}},
	{"wait_current_trans", domain{"btrfs", layerLog}},
	{"f2fs_", domain{"f2fs", layerFS}},
	{"__f2fs_", domain{"f2fs", layerFS}},
	{"bch2_", domain{"bcachefs", layerFS}},
	{"__bch2_", domain{"bcachefs", layerFS}},
	{"txg_", domain{"zfs", layerLog}},
	{"spa_", domain{"zfs", layerLog}},
	{"zio_", domain{"zfs", layerBlock}},
	{"vdev_", domain{"zfs", layerBlock}},
	{"zfs_", domain{"zfs", layerFS}},
	{"dmu_", domain{"zfs", layerFS}},
	{"dsl_", domain{"zfs", layerLog}},
	{"zil_", domain{"zfs", layerLog}},
	{"zpl_", domain{"zfs", layerFS}},
	{"arc_", domain{"zfs", layerFS}},
	{"dbuf_", domain{"zfs", layerFS}},
	{"zvol_", domain{"zfs", layerFS}},
	{"ocfs2_", domain{"ocfs2", layerFS}},
	{"gfs2_", domain{"gfs2", layerFS}},
	{"dlm_", domain{"dlm", layerServer}},
	{"reiserfs_", domain{"reiserfs", layerFS}},
	{"nilfs_", domain{"nilfs2", layerFS}},
	{"ubifs_", domain{"ubifs", layerFS}},
	{"jffs2_", domain{"jffs2", layerFS}},
	{"ntfs_", domain{"ntfs", layerFS}},
	{"fat_", domain{"fat", layerFS}},
	{"exfat_", domain{"exfat", layerFS}},
	{"ovl_", domain{"overlay", layerVFS}},
	{"udf_", domain{"udf", layerFS}},
	{"hfsplus_", domain{"hfsplus", layerFS}},
	{"jfs_", domain{"jfs", layerFS}},
	{"erofs_", domain{"erofs", layerFS}},
	{"squashfs_", domain{"squashfs", layerFS}},
	{"nfsd", domain{"nfsd", layerVFS}},
	{"nfs_", domain{"nfs", layerFS}},
	{"nfs3_", domain{"nfs", layerServer}},
	{"nfs4_", domain{"nfs", layerServer}},
	{"_nfs4_", domain{"nfs", layerServer}},
	{"nfs41_", domain{"nfs", layerServer}},
	{"rpc_", domain{"nfs", layerServer}},
	{"__rpc_", domain{"nfs", layerServer}},
	{"xprt_", domain{"nfs", layerServer}},
	{"rpcauth_", domain{"nfs", layerServer}},
	{"gss_", domain{"nfs", layerServer}},
	{"cifs_", domain{"cifs", layerServer}},
	{"smb2_", domain{"cifs", layerServer}},
	{"SMB2_", domain{"cifs", layerServer}},
	{"SMB_", domain{"cifs", layerServer}},
	{"smb3_", domain{"cifs", layerServer}},
	{"CIFS", domain{"cifs", layerServer}},
	{"ceph_", domain{"ceph", layerServer}},
	{"__ceph_", domain{"ceph", layerServer}},
	{"fuse_", domain{"fuse", layerServer}},
	{"__fuse_", domain{"fuse", layerServer}},
	{"request_wait_answer", domain{"fuse", layerServer}},
	{"p9_", domain{"9p", layerServer}},
	{"v9fs_", domain{"9p", layerServer}},
	{"afs_", domain{"afs", layerServer}},
	{"ll_", domain{"lustre", layerServer}},
	{"ptlrpc_", domain{"lustre", layerServer}},
	{"ldlm_", domain{"lustre", layerServer}},
	{"wb_", domain{"writeback", layerLog}},
	{"writeback_", domain{"writeback", layerLog}},
	{"balance_dirty", domain{"writeback", layerLog}},
	{"bdi_", domain{"writeback", layerLog}},
	{"__writeback", domain{"writeback", layerLog}},
	{"blk_", domain{"block", layerBlock}},
	{"__blk_", domain{"block", layerBlock}},
	{"bio_", domain{"block", layerBlock}},
	{"submit_bio", domain{"block", layerBlock}},
	{"__submit_bio", domain{"block", layerBlock}},
	{"wbt_", domain{"block", layerBlock}},
	{"rq_qos", domain{"block", layerBlock}},
	{"__rq_qos", domain{"block", layerBlock}},
	{"bfq_", domain{"block", layerBlock}},
	{"blkdev_", domain{"block", layerBlock}},
	{"elevator_", domain{"block", layerBlock}},
	{"elv_", domain{"block", layerBlock}},
	{"get_request", domain{"block", layerBlock}},
	{"generic_make_request", domain{"block", layerBlock}},
	{"ioc_", domain{"block", layerBlock}},
	{"iocg_", domain{"block", layerBlock}},
	{"__bio_", domain{"block", layerBlock}},
	{"bdev_", domain{"block", layerBlock}},
	{"md_", domain{"md", layerVolume}},
	{"mddev_", domain{"md", layerVolume}},
	{"raid", domain{"md", layerVolume}},
	{"r5l_", domain{"md", layerVolume}},
	{"r5c_", domain{"md", layerVolume}},
	{"__md_", domain{"md", layerVolume}},
	{"dm_", domain{"dm", layerVolume}},
	{"__dm_", domain{"dm", layerVolume}},
	{"kcopyd", domain{"dm", layerVolume}},
	{"snapshot_", domain{"dm", layerVolume}},
	{"origin_", domain{"dm", layerVolume}},
	{"thin_", domain{"dm", layerVolume}},
	{"crypt_", domain{"dm", layerVolume}},
	{"dmcrypt_", domain{"dm", layerVolume}},
	{"clone_endio", domain{"dm", layerVolume}},
	{"multipath_", domain{"dm", layerVolume}},
	{"drbd_", domain{"drbd", layerVolume}},
	{"loop_", domain{"loop", layerVolume}},
	{"lo_", domain{"loop", layerVolume}},
	{"nbd_", domain{"nbd", layerServer}},
	{"rbd_", domain{"rbd", layerServer}},
	{"bch_", domain{"bcache", layerVolume}},
	{"cached_dev_", domain{"bcache", layerVolume}},
	{"zram_", domain{"zram", layerVolume}},
	{"swap_", domain{"mm", layerVFS}},
	{"scsi_", domain{"scsi", layerDriver}},
	{"sd_", domain{"scsi", layerDriver}},
	{"ata_", domain{"ata", layerDriver}},
	{"nvme_", domain{"nvme", layerDriver}},
	{"mmc_", domain{"mmc", layerDriver}},
	{"usb_", domain{"usb", layerDriver}},
	{"hub_", domain{"usb", layerDriver}},
	{"iscsi_", domain{"iscsi", layerServer}},
	{"pci_", domain{"pci", layerDriver}},
	{"pciehp_", domain{"pci", layerDriver}},
	{"virtio", domain{"virtio", layerDriver}},
	{"target_", domain{"target", layerDriver}},
	{"core_tpg_", domain{"target", layerDriver}},
	{"transport_", domain{"target", layerDriver}},
	{"drm_", domain{"drm", layerDriver}},
	{"dma_fence", domain{"drm", layerDriver}},
	{"dma_resv", domain{"drm", layerDriver}},
	{"amdgpu_", domain{"drm", layerDriver}},
	{"i915_", domain{"drm", layerDriver}},
	{"nouveau_", domain{"drm", layerDriver}},
	{"ttm_", domain{"drm", layerDriver}},
	{"nv_", domain{"nvidia", layerDriver}},
	{"os_acquire", domain{"nvidia", layerDriver}},
	{"rtnl", domain{"net", layerVFS}},
	{"rtnetlink", domain{"net", layerVFS}},
	{"dev_", domain{"net", layerVFS}},
	{"__dev_", domain{"net", layerVFS}},
	{"netdev_", domain{"net", layerVFS}},
	{"unregister_netdev", domain{"net", layerVFS}},
	{"register_netdev", domain{"net", layerVFS}},
	{"cleanup_net", domain{"net", layerVFS}},
	{"ieee80211_", domain{"wifi", layerDriver}},
	{"cfg80211_", domain{"wifi", layerVFS}},
	{"tcp_", domain{"net", layerVFS}},
	{"inet", domain{"net", layerVFS}},
	{"genl_", domain{"net", layerVFS}},
	{"napi_", domain{"net", layerDriver}},
	{"bond_", domain{"net", layerVFS}},
	{"cgroup", domain{"cgroup", layerUser}},
	{"cpuset_", domain{"cgroup", layerUser}},
	{"tty_", domain{"tty", layerUser}},
	{"n_tty", domain{"tty", layerUser}},
	{"uart_", domain{"tty", layerDriver}},
	{"con_", domain{"tty", layerUser}},
	{"console_", domain{"tty", layerUser}},
	{"kernfs_", domain{"sysfs", layerVFS}},
	{"sysfs_", domain{"sysfs", layerVFS}},
	{"device_", domain{"devices", layerVFS}},
	{"dpm_", domain{"devices", layerVFS}},
	{"async_", domain{"devices", layerVFS}},
	{"io_uring", domain{"io_uring", layerUser}},
	{"io_ring", domain{"io_uring", layerUser}},
	{"io_cqring", domain{"io_uring", layerUser}},
	{"fanotify", domain{"fsnotify", layerServer}},
	{"fsnotify", domain{"fsnotify", layerVFS}},
	{"kvm_", domain{"kvm", layerUser}},
	{"futex", domain{"process", layerUser}},
	{"pipe_", domain{"process", layerUser}},
	{"kernel_clone", domain{"process", layerUser}},
	{"_do_fork", domain{"process", layerUser}},
	{"shrink_", domain{"mm", layerVFS}},
	{"try_to_free", domain{"mm", layerVFS}},
	{"__alloc_pages", domain{"mm", layerVFS}},
	{"compact_", domain{"mm", layerVFS}},
	{"khugepaged", domain{"mm", layerVFS}},
	{"synchronize_", domain{"rcu", layerUser}},
	{"rcu_", domain{"rcu", layerUser}},
	{"__wait_rcu", domain{"rcu", layerUser}},
	{"wait_rcu", domain{"rcu", layerUser}},
}

// modules are those whose names say more than their functions', which are
// anything.
var modules = map[string]domain{
	"ext4": {"ext4", layerFS}, "jbd2": {"ext4", layerLog}, "xfs": {"xfs", layerFS}, "btrfs": {"btrfs", layerFS}, "f2fs": {"f2fs", layerFS}, "bcachefs": {"bcachefs", layerFS},
	"zfs": {"zfs", layerFS}, "spl": {"zfs", layerFS}, "nfs": {"nfs", layerFS}, "nfsv3": {"nfs", layerServer}, "nfsv4": {"nfs", layerServer}, "sunrpc": {"nfs", layerServer}, "nfsd": {"nfsd", layerVFS},
	"cifs": {"cifs", layerServer}, "ceph": {"ceph", layerServer}, "libceph": {"ceph", layerServer}, "rbd": {"rbd", layerServer}, "fuse": {"fuse", layerServer}, "9p": {"9p", layerServer}, "9pnet": {"9p", layerServer}, "overlay": {"overlay", layerVFS},
	"md_mod": {"md", layerVolume}, "raid1": {"md", layerVolume}, "raid10": {"md", layerVolume}, "raid456": {"md", layerVolume}, "raid0": {"md", layerVolume}, "dm_mod": {"dm", layerVolume}, "dm_snapshot": {"dm", layerVolume}, "dm_thin_pool": {"dm", layerVolume}, "dm_crypt": {"dm", layerVolume}, "dm_raid": {"dm", layerVolume}, "dm_multipath": {"dm", layerVolume}, "dm_bufio": {"dm", layerVolume}, "dm_cache": {"dm", layerVolume},
	"drbd": {"drbd", layerVolume}, "loop": {"loop", layerVolume}, "nbd": {"nbd", layerServer}, "bcache": {"bcache", layerVolume}, "zram": {"zram", layerVolume},
	"gfs2": {"gfs2", layerFS}, "ocfs2": {"ocfs2", layerFS}, "dlm": {"dlm", layerServer}, "lustre": {"lustre", layerServer}, "ptlrpc": {"lustre", layerServer},
}

// domainOf is what a function belongs to. A module that is none of the known
// ones is a driver.
func domainOf(fn, module string) domain {
	if d, ok := modules[module]; ok {
		for i := range domains {
			if e := &domains[i]; e.name == d.name && strings.HasPrefix(fn, e.prefix) {
				return e.domain
			}
		}
		return d
	}
	for i := range domains {
		if strings.HasPrefix(fn, domains[i].prefix) {
			return domains[i].domain
		}
	}
	if module != "" {
		return domain{module, layerDriver}
	}
	return domain{}
}

// where are the domains of a stack, the top first, and the layer at which it
// waits.
func (s *stack) where() (names []string, l layer) {
	s.about()
	for i := s.site.at; i < len(s.fn); i++ {
		d := domainOf(s.fn[i], s.module(i))
		if d.name == "" {
			continue
		}
		// What the wait is about stands near it.
		if l == layerNone && i < s.site.past+3 {
			l = d.layer
		}
		known := false
		for _, n := range names {
			known = known || n == d.name
		}
		if !known {
			names = append(names, d.name)
		}
	}
	return names, l
}
