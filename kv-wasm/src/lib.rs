//! kv-core's simulator for a browser page.
