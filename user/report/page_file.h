/* The page without its data, as tools/bundle-page has made it; empty where it could not. */
#ifndef ALLOCTRACE_REPORT_PAGE_FILE_H
#define ALLOCTRACE_REPORT_PAGE_FILE_H

extern const char page_file[], page_file_end[];

#endif
