//! The command line of `millrace-media`: where to listen, how many workers, which I/O.
