/* SPDX-License-Identifier: MIT */
/* arch/world.h for one CPU: the world stands or it goes on, and is neither stopped nor let go twice. */
#pragma once
#include "arch/world.h"

static bool world_stands;

void world_stop(void)
{
	assert_false(world_stands);
	world_stands = true;
}

void world_resume(void)
{
	assert_true(world_stands);
	world_stands = false;
}
