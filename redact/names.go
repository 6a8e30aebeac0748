package redact

import (
	"strings"
	"sync"
)

// kernelThread reports whether a name is one that the kernel gives to its own
// threads. It names no program.
func kernelThread(name string) bool { return threads.MatchString(name) }

// threads are the names of kernel threads, as far as they don't depend on the
// machine: a path or an address in one is taken out like any other.
var threads = lazy(`^(?:` +
	// The first half of a name with a number counts as well: patterns that look
	// for "NAME/PID" find it.
	`kworker|ksoftirqd|migration|cpuhp|idle_inject|watchdog|irq|jbd2|events|aio|loop|napi|rcuop|rcuog|rcuob|stopper|ktimers|` +
	`swapper(?:/\d+)?|<idle>|<\.\.\.>|kthreadd|kworker/.*|pool_workqueue_.*|ksoftirqd/\d+|migration/\d+|watchdog/\d+|watchdogd|cpuhp/\d+|idle_inject/\d+|` +
	`rcu.*|ktimers/\d+|ktimersoftd/\d+|posixcputmr/\d+|stopper/\d+|backlog_napi/\d+|irq_work/\d+|irq/\d+-.*|` +
	`khungtaskd|khugepaged|ksmd|kswapd\d+|kcompactd\d+|kauditd|kdevtmpfs|kintegrityd|kblockd|kthrotld|kmpathd|kmpath_.*|oom_reaper|writeback|` +
	`netns|inet_frag_wq|mm_percpu_wq|slub_flushwq|sync_wq|perf|crypto|cryptd|md|md_bitmap|bioset|kpsmoused|psimon|kstrp|zswap.*|devfreq_wq|edac-poller|` +
	`charger_manager|ata_sff|acpi_thermal_pm|tpm_dev_wq|hwrng|mld|ipv6_addrconf|nfit|uas|usb-storage|khubd|kseriod|pdflush|bdflush|kupdated|kreclaimd|keventd|` +
	`events/\d+|khelper|kacpid|kacpi_.*|aio/\d+|flush-\d+:\d+|kjournald\d*|jbd2/.*|ext4-rsv-.*|ext4-dio-.*|xfs.*|btrfs.*|bch_.*|bcache.*|bcachefs.*|f2fs_.*|gfs2_.*|` +
	`jfsIO|jfsCommit|jfsSync|nilfs.*|ocfs2.*|o2hb.*|dlm_.*|z_.*|txg_.*|arc_.*|dbu_evict|dbuf_evict|spl_.*|l2arc_.*|vdev_.*|zvol.*|mmp|` +
	`md\d+_\w+|raid5wq|loop\d+|nbd\d+.*|drbd.*|dm-.*|dm_.*|dmcrypt_write.*|kdmflush.*|kcryptd.*|kcopyd|kmirrord|ksnaphd|kdmremove|` +
	`nvme-.*|nvmet-.*|scsi_eh_\d+|scsi_tmf_\d+|scsi_wq_\d+|iscsi_.*|fc_.*|qla2xxx_.*|lpfc_.*|mpt\w*_?\d*.*|mmcqd/.*|mtdblock\d+|ubi_.*|ubifs_.*|` +
	`nfsd\d*|nfsd4.*|lockd|nfsiod|nfsv4.*|rpciod|xprtiod|rpc\.\w+d?|cifsd|cifsiod|cifsoplockd|ceph-.*|rbd\d*.*|libceph.*|lustre.*|ptlrpc.*|ldlm_.*|ll_.*|` +
	`bond\d+|team\d+|wg-crypt-.*|napi/.*|kvm.*|vhost-\d+|card\d+-.*|ttm.*|i915.*|amdgpu.*|gfx.*|sdma\d*|comp_.*|vce\d*|uvd.*|nv_queue|nvidia-.*|UVM .*|` +
	`khvcd|kmmcd|krfcomm.*|kbnepd.*|cec-.*|led_workqueue|deferwq|kdmapd.*|kauditd|kthread.*|init` +
	`)$`)

// ordinary are words that programs are called and that a log says in another
// meaning as well: they are replaced where they stand as a name only.
var ordinary = set(`
	active all alloc allocation and any are area at audit bash block blocked boot bug busy bytes cache call cat check clear close cmd code comm command
	complete console control cpu cpus cron data date dd dead debug device dir disk dma done down drop dump echo emergency enabled end error events exit
	fail failed fault file find flags for free from fs fsync full grep group hang hard has head held help high hold host hung idle in info init inode
	interrupt into invoked io irq is it job jobs journal kernel key keys kill killed last lib limit line lines link list load lock locked lockdep locks
	log login loop low ls mail main make manager map max mem memory message min mkdir mode module modules mount move name net network new next nfs nfsd nmi
	node normal not null of off on oom oops open order other out owner page pages panic parent path pci pid pool port power pid ppid print proc process
	ps quota raid range read reboot reclaim recv register release remount report reset restart resume rm root route run running runs save scan sched sda
	select send server service set sh show shutdown signal size sleep slab socket soft some spin stack start started starting state states stat status
	stop stopped su sudo suspend swap swapper sync sysrq system table tail tainted target task tasks tcp test tests tgid thread threads time timeout timer
	to top total touch trace type udp umount unit unmount up update usb use used user users value version vm wait waiting warning watch watchdog with work
	worker workqueue write writeback xfs zone show-blocked modprobe ext4 btrfs cgroup freezer frozen
`)

// common are directories and files that are the same on every machine.
var common = set(`
	bin boot cgroup dev docker etc export fs home init init.scope kubepods kubepods.slice lib lib64 libexec local lxc machine.slice media mnt modules opt
	proc root run sbin share srv swap swapfile sys system system.slice tmp tmpfs user user.slice usr var log cache spool kernel vmlinuz initrd
	bash sh dash busybox systemd udev
`)

// set is the words of a text, taken apart when they are wanted first.
func set(words string) func(string) bool {
	all := sync.OnceValue(func() map[string]bool {
		m := map[string]bool{}
		for w := range strings.FieldsSeq(words) {
			m[w] = true
		}
		return m
	})
	return func(w string) bool { return all()[w] }
}
