/* A plugin that only libbranch.so's RUNPATH leads to. */
int leaf_value(void);

int leaf_value(void)
{
	return 42;
}
