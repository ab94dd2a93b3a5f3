//! What becomes of operations and calls whose connections to the device break.

mod common;
#[path = "../../tests/history/tests/breaks/mod.rs"]
mod connections;

use common::device;

#[test]
fn each_operation_and_each_step_of_a_call() {
    let device = device(&["--store", "memory:"]);
    // Operations are asked without a call, so that there is nothing to make a token from.
    connections::run(&format!("{}?send=token", device.url()));
}
