//! Types shared by the kernel and the daemon.
#![no_std]
