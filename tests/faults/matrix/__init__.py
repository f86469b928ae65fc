"""Every dependency with every fault: what the caller gets, how soon, and whether all is well afterwards."""
