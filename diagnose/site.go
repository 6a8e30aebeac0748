package diagnose

import "strings"

// lockKind is the kind of lock that a task waits for, by the way it waits.
type lockKind uint8

const (
	noLock lockKind = iota
	mutexLock
	rwsemRead
	rwsemWrite
	semaphoreLock
	percpuRead
	percpuWrite
	rtLock
)

func (k lockKind) String() string {
	switch k {
	case mutexLock:
		return "mutex"
	case rwsemRead, rwsemWrite:
		return "rwsem"
	case semaphoreLock:
		return "semaphore"
	case percpuRead, percpuWrite:
		return "percpu-rwsem"
	case rtLock:
		return "rt-mutex"
	}
	return ""
}

// site is where a stack waits.
type site struct {
	kind lockKind
	// at is the first name that is no plumbing: who waits. It is len(fn) where
	// there is none.
	at int
	// past is the first name below the functions that only take the lock for
	// their caller, such as rtnl_lock: who wanted it.
	past int
	// waits: the stack goes through the scheduler, or begins at it.
	waits bool
}

// findSite reads it off the names.
func findSite(fn []string) site {
	var s site
	for s.at < len(fn) {
		f := fn[s.at]
		if k := kindOf(f); k != noLock {
			s.kind = k
		}
		if f == "__schedule" || f == "schedule" || strings.HasPrefix(f, "schedule_") || strings.HasPrefix(f, "io_schedule") {
			s.waits = true
		}
		if !plumbing(f) {
			break
		}
		s.at++
	}
	s.past = s.at
	if s.kind != noLock {
		for s.past+1 < len(fn) && takes(fn[s.past]) {
			s.past++
		}
	}
	return s
}

// kindOf is the kind of lock that a function of the kernel's lock code takes.
func kindOf(f string) lockKind {
	switch {
	case has(f, "mutex_lock", "__mutex_lock", "ww_mutex_lock", "__ww_mutex_lock", "_mutex_lock"):
		return mutexLock
	case has(f, "rwsem_down_read", "call_rwsem_down_read", "down_read", "__down_read"):
		return rwsemRead
	case has(f, "rwsem_down_write", "call_rwsem_down_write", "down_write", "__down_write"):
		return rwsemWrite
	case has(f, "percpu_rwsem_wait", "__percpu_down_read", "percpu_down_read"):
		return percpuRead
	case has(f, "percpu_down_write"):
		return percpuWrite
	case has(f, "rt_mutex_", "__rt_mutex", "rtlock_", "rt_spin_lock", "rwbase_"):
		return rtLock
	case f == "down" || f == "__down" || has(f, "down_interruptible", "down_killable", "down_timeout", "___down", "__down_common", "__down_interruptible", "__down_killable", "__down_timeout"):
		return semaphoreLock
	}
	return noLock
}

func has(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// plumbing reports whether a function only says how a task waits.
func plumbing(f string) bool {
	switch f {
	case "__sched_text_start", "__lock_text_start", "___preempt_schedule", "___preempt_schedule_notrace": // the first function of a section, named for another
		return true
	}
	return waits().name(f).plumbing || waits().name(f).noise && !bottom(f)
}

// takes reports whether a function, by its name, takes a lock and returns with
// it: rtnl_lock, xfs_ilock, __fdget_pos, mddev_lock, f2fs_down_write.
func takes(f string) bool {
	if f == "__fdget_pos" || f == "fdget_pos" || strings.HasSuffix(f, "_down_read") || strings.HasSuffix(f, "_down_write") {
		return true
	}
	for part := range strings.SplitSeq(f, "_") {
		switch part {
		case "lock", "ilock", "rlock", "wlock", "trylock", "mutex":
			return true
		}
	}
	return false
}

// bottom reports whether a function stands at the bottom of many stacks: it
// says how the kernel was entered, not what it does.
func bottom(f string) bool {
	switch f {
	case "kthread", "process_one_work", "process_scheduled_works", "worker_thread", "do_syscall_64", "x64_sys_call",
		"system_call_exception", "system_call_common", "system_call_vectored_common", "invoke_syscall", "do_el0_svc", "el0_svc",
		"ret_from_fork", "ret_from_fork_asm", "entry_SYSCALL_64_after_hwframe", "ret_from_kernel_thread", "do_fast_syscall_32",
		"kthread_worker_fn", "smpboot_thread_fn", "do_exit", "do_group_exit", "exit_to_user_mode_loop", "task_work_run",
		"ksys_read", "ksys_write", "vfs_read", "vfs_write", "new_sync_read", "new_sync_write", "__vfs_read", "__vfs_write",
		"ksys_ioctl", "vfs_ioctl", "do_vfs_ioctl", "do_sys_open", "do_sys_openat2", "do_filp_open", "path_openat",
		"do_sys_poll", "call_write_iter", "call_read_iter", "SyS_write", "SyS_read", "SyS_ioctl", "sys_write", "sys_read", "sys_open",
		"__se_sys_ioctl", "ksys_pwrite64", "ksys_pread64", "do_iter_write", "do_iter_readv_writev", "vfs_writev", "do_writev", "vfs_open", "do_dentry_open",
		"kernel_init", "start_kernel", "asm_exc_page_fault", "exc_page_fault", "do_user_addr_fault", "handle_mm_fault", "__handle_mm_fault",
		"proc_reg_write", "proc_reg_read", "kernfs_fop_write", "kernfs_fop_write_iter", "sysfs_kf_write", "aio_write", "io_submit_one", "dev_attr_store",
		"netlink_unicast", "netlink_sendmsg", "sock_sendmsg", "__sock_sendmsg", "____sys_sendmsg", "___sys_sendmsg", "__sys_sendmsg", "netlink_rcv_skb", "sock_write_iter", "__sys_sendto":
		return true
	}
	return has(f, "entry_", "ret_from_", "__x64_sys_", "__ia32_sys_", "__se_sys_", "__do_sys_", "__arm64_sys_", "__s390x_sys_", "__riscv_sys_", "el0", "syscall_", "exit_to_user_mode", "__do_syscall", "0x", "ret_fast_syscall", "system_call", "sysenter", "start_secondary", "secondary_startup")
}
