/* scan.h - walks a tree, page by page */
#pragma once

struct scan;

void scan_free(struct scan *scan);
