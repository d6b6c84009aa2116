//! Inputs of networks whose type a recipe decides.

pub use burn_distill::core::{
    AnyInput, AnyMemory, AnyNetwork, InputKind, InputShape, OtherKind, Tokens, TokensMemory,
    TypedInput, any_network,
};
