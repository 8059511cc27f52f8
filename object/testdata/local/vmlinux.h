/* SPDX-License-Identifier: GPL-2.0 */
struct task_struct {
	int pid;
	int cpu;
};
