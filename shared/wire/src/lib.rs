//! Every byte layout that crosses the network, read by views and patched in place.
