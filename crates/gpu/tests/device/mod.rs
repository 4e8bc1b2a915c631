//! The adapter that tests run on.

// A test that cannot run says so.
#![allow(clippy::print_stdout)]

use std::sync::OnceLock;

use lungfish_gpu::{AdapterKind, Wgpu, adapters};

/// The device that is tested; `None`, said once, where there is none.
pub fn gpu() -> Option<&'static Wgpu> {
    static GPU: OnceLock<Option<Wgpu>> = OnceLock::new();
    let open = || {
        let found = adapters();
        let chosen = match std::env::var("LUNGFISH_GPU") {
            Ok(number) => found.get(number.parse::<usize>().expect("LUNGFISH_GPU is the number of an adapter")),
            Err(_) => found.iter().find(|adapter| adapter.kind() == AdapterKind::Software),
        };
        match chosen {
            Some(adapter) => Some(adapter.open().expect("the adapter can be opened")),
            None => {
                println!("skipped: there is no adapter to test on; Debian's mesa-vulkan-drivers has one");
                None
            }
        }
    };
    GPU.get_or_init(open).as_ref()
}
