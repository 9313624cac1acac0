//! Runs operations on the instruction's bytes and returns their results: a test compares them with Python.
//! Instruction: operation u8, then its input. Results are concatenated in the order written here.
#![no_std]
extern crate alloc;

mod calls;
mod io;
mod memory;
mod numbers;
mod panics;
#[cfg(any(feature = "float", feature = "writable-static", feature = "deep-frame"))]
mod refused;
mod sorting;

use io::{Input, Output};
use pinocchio::error::ProgramError;
use pinocchio::{AccountView, Address, ProgramResult};

pinocchio::program_entrypoint!(process, 4);
pinocchio::default_allocator!();
pinocchio::nostd_panic_handler!();

fn process(_program_id: &Address, _accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let mut input = Input(data);
    let mut output = Output::new();
    match input.u8() {
        0 => numbers::u64s(&mut input, &mut output),
        1 => numbers::u128_products(&mut input, &mut output),
        2 => numbers::u128_quotients(&mut input, &mut output),
        3 => numbers::i64s(&mut input, &mut output),
        4 => numbers::i128s(&mut input, &mut output),
        5 => memory::copies(&mut input, &mut output),
        6 => memory::comparisons(&mut input, &mut output),
        7 => sorting::sorts(&mut input, &mut output),
        8 => numbers::bits(&mut input, &mut output),
        9 => calls::tables_and_structs(&mut input, &mut output),
        10 => calls::strings(&mut input, &mut output),
        11 => calls::many_arguments(&mut input, &mut output),
        20..=28 => panics::may_panic(data[0], &mut input, &mut output),
        #[cfg(any(feature = "float", feature = "writable-static", feature = "deep-frame"))]
        30 => refused::refused(&mut input, &mut output),
        _ => return Err(ProgramError::InvalidInstructionData),
    }
    pinocchio::cpi::set_return_data(output.bytes());
    Ok(())
}
