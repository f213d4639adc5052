// A room without sources of its own is a library all the same, so that others can name it.
