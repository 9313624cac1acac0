"""Lays out the relocatable object of LLVM's BPF back end as an ELF that Solana's loader accepts."""
