//! The built command from outside: files, pipes, exit codes, messages.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod carry;
mod conceal;
mod damage;
mod degrade;
mod devices;
mod edits;
mod endings;
mod failures;
mod files;
mod install;
mod latents;
mod looking;
mod manual;
mod media;
mod misuse;
mod models;
mod outputs;
mod paths;
mod pipes;
mod predict;
mod quality;
mod rates;
mod releases;
mod reports;
mod scenes;
mod seeking;
mod several;
mod stdout;
mod support;
mod tokens;
