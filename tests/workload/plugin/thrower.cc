// Throws and catches in its constructor, which runs inside dlopen. (An exception cannot leave
// dlopen: the loader has no frame for it, probed or not.)
extern "C" int thrower_caught;

int thrower_caught;

struct thrower {
	thrower()
	{
		try {
			throw 1;
		} catch (int value) {
			thrower_caught = value;
		}
	}
};

static thrower at_load;
