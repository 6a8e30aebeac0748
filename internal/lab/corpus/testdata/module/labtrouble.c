// SPDX-License-Identifier: GPL-2.0
/*
 * labtrouble makes a kernel suffer in ways that userspace alone can not: each
 * file below /proc/lab is a kind of trouble, and who opens it gets into it.
 * It is built by `make corpus` against Debian's headers and is loaded in
 * disposable machines only.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/* Without it, a cache may share another's name (6.5 and later have the flag). */
#ifndef SLAB_NO_MERGE
#define SLAB_NO_MERGE SLAB_NOLEAKTRACE
#endif

static DEFINE_MUTEX(lab_a);
static DEFINE_MUTEX(lab_b);
static DEFINE_MUTEX(lab_mutex);
static DECLARE_RWSEM(lab_rwsem);
static DEFINE_SPINLOCK(lab_spinlock);
static DECLARE_WAIT_QUEUE_HEAD(lab_never);
static DECLARE_COMPLETION(lab_completion);
static struct workqueue_struct *lab_wq;
static struct kmem_cache *lab_cache;

static int seconds = 20;
module_param(seconds, int, 0644);
MODULE_PARM_DESC(seconds, "how long what spins does so");

static int mib = 100;
module_param(mib, int, 0644);
MODULE_PARM_DESC(mib, "how much leaks");

static noinline void lab_sleep_for_ever(void)
{
	while (!signal_pending(current))
		schedule_timeout_interruptible(HZ * 3600);
}

static noinline void lab_take_a_then_b(void)
{
	mutex_lock(&lab_a);
	ssleep(1);
	mutex_lock(&lab_b);
	mutex_unlock(&lab_b);
	mutex_unlock(&lab_a);
}

static noinline void lab_take_b_then_a(void)
{
	mutex_lock(&lab_b);
	ssleep(1);
	mutex_lock(&lab_a);
	mutex_unlock(&lab_a);
	mutex_unlock(&lab_b);
}

static noinline void lab_mutex_hold(void)
{
	mutex_lock(&lab_mutex);
	lab_sleep_for_ever();
	mutex_unlock(&lab_mutex);
}

static noinline void lab_mutex_take(void)
{
	mutex_lock(&lab_mutex);
	mutex_unlock(&lab_mutex);
}

static noinline void lab_rwsem_hold(void)
{
	down_read(&lab_rwsem);
	lab_sleep_for_ever();
	up_read(&lab_rwsem);
}

static noinline void lab_rwsem_read(void)
{
	down_read(&lab_rwsem);
	up_read(&lab_rwsem);
}

static noinline void lab_rwsem_write(void)
{
	down_write(&lab_rwsem);
	up_write(&lab_rwsem);
}

static noinline void lab_wait_for_completion(void)
{
	wait_for_completion(&lab_completion);
}

static void lab_work_never_ends(struct work_struct *work)
{
	wait_event(lab_never, false);
}
static DECLARE_WORK(lab_work, lab_work_never_ends);

static void lab_work_behind(struct work_struct *work)
{
}
static DECLARE_WORK(lab_behind, lab_work_behind);

static noinline void lab_queue_work(void)
{
	queue_work(lab_wq, &lab_work);
	queue_work(lab_wq, &lab_behind);
}

static noinline void lab_flush_work(void)
{
	flush_work(&lab_behind);
}

static noinline void lab_leak_slab(void)
{
	long objects = ((long)mib << 20) / 1024;

	while (objects-- > 0)
		if (!kmem_cache_alloc(lab_cache, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN))
			break;
}

static noinline void lab_spin(void)
{
	ktime_t end = ktime_add_ms(ktime_get(), seconds * 1000);

	while (ktime_before(ktime_get(), end))
		cpu_relax();
}

static noinline void lab_spin_without_preemption(void)
{
	preempt_disable();
	lab_spin();
	preempt_enable();
}

static noinline void lab_spin_without_interrupts(void)
{
	unsigned long flags;

	local_irq_save(flags);
	lab_spin();
	local_irq_restore(flags);
}

static noinline void lab_spin_in_rcu(void)
{
	rcu_read_lock();
	preempt_disable();
	lab_spin();
	preempt_enable();
	rcu_read_unlock();
}

static noinline void lab_spinlock_hold(void)
{
	spin_lock(&lab_spinlock);
	lab_spin();
	spin_unlock(&lab_spinlock);
}

static noinline void lab_spinlock_take(void)
{
	spin_lock(&lab_spinlock);
	spin_unlock(&lab_spinlock);
}

static noinline void lab_null_pointer(void)
{
	int *nowhere = (int *)(long)(mib - mib);

	WRITE_ONCE(*nowhere, 1);
}

static noinline void lab_bug(void)
{
	BUG_ON(mib >= 0);
}

static noinline void lab_warn(void)
{
	WARN(1, "labtrouble warns of %d MiB\n", mib);
}

static const struct trouble {
	const char *name;
	void (*make)(void);
} troubles[] = {
	{ "ab", lab_take_a_then_b },
	{ "ba", lab_take_b_then_a },
	{ "mutex-hold", lab_mutex_hold },
	{ "mutex-take", lab_mutex_take },
	{ "rwsem-hold", lab_rwsem_hold },
	{ "rwsem-read", lab_rwsem_read },
	{ "rwsem-write", lab_rwsem_write },
	{ "completion", lab_wait_for_completion },
	{ "work", lab_queue_work },
	{ "flush", lab_flush_work },
	{ "leak", lab_leak_slab },
	{ "spin", lab_spin_without_preemption },
	{ "spin-irq", lab_spin_without_interrupts },
	{ "spin-rcu", lab_spin_in_rcu },
	{ "spinlock-hold", lab_spinlock_hold },
	{ "spinlock-take", lab_spinlock_take },
	{ "oops", lab_null_pointer },
	{ "bug", lab_bug },
	{ "warn", lab_warn },
};

static int lab_open(struct inode *inode, struct file *file)
{
	const struct trouble *t = pde_data(inode);

	t->make();
	return 0;
}

/* Who reads finds nothing. */
static ssize_t lab_read(struct file *file, char __user *to, size_t n, loff_t *at)
{
	return 0;
}

static const struct proc_ops lab_ops = {
	.proc_open = lab_open,
	.proc_read = lab_read,
};

static int __init labtrouble_init(void)
{
	struct proc_dir_entry *dir;
	int i;

	lab_wq = alloc_ordered_workqueue("lab_wq", 0);
	lab_cache = kmem_cache_create("lab_leak", 1024, 0, SLAB_NO_MERGE, NULL);
	dir = proc_mkdir("lab", NULL);
	if (!lab_wq || !lab_cache || !dir)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(troubles); i++)
		proc_create_data(troubles[i].name, 0444, dir, &lab_ops, (void *)&troubles[i]);
	return 0;
}
module_init(labtrouble_init);

MODULE_DESCRIPTION("Trouble for disposable machines");
MODULE_LICENSE("GPL");
