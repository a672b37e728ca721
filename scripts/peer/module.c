/* SPDX-License-Identifier: MIT */
/* Kernel modules. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/module.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "peer.h"

void module_load(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	/* This flag also leaves the signature unchecked, which takes long in an emulator. */
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, MODULE_INIT_IGNORE_VERMAGIC))
		die_errno("loading %s %s", path, parameters);
	close(fd);
}

void module_unload(const char *name)
{
	if (syscall(SYS_delete_module, name, O_NONBLOCK))
		die_errno("unloading %s", name);
}

const char *line_of(const char *path)
{
	static char line[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	if (length < 0)
		return "?";
	line[length] = 0;
	line[strcspn(line, "\n")] = 0;
	return line;
}
