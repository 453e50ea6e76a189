//! The core, driven by hand and through anything.

mod model;
mod world;
