//! Datagrams in and out by io_uring or epoll.
