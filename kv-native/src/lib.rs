//! Sockets, files, HTTP and a command line around kv-core.
