//! Activation functions.

use super::super::graph::Attribute;
use super::context::Context;
use burn::backend::ir::{ActivationOperationIr, ScalarIr};
use std::f64::consts::SQRT_2;

/// Adds the nodes of an activation function. Returns whether there are any.
pub fn lower(context: &mut Context<'_>, operation: &ActivationOperationIr) -> Result<bool, String> {
    use ActivationOperationIr as Op;
    match operation {
        Op::Relu(op) => context.node("Relu", &[&op.input], &op.out, vec![]),
        Op::Sigmoid(op) => context.node("Sigmoid", &[&op.input], &op.out, vec![]),
        Op::LeakyRelu(op) => {
            let slope = vec![("alpha", Attribute::Float(op.rhs.elem()))];
            context.node("LeakyRelu", &[&op.lhs], &op.out, slope)
        }
        Op::PRelu(op) => context.node("PRelu", &[&op.lhs, &op.rhs], &op.out, vec![]),
        Op::HardSigmoid(op) => {
            let (alpha, beta) = (op.alpha.elem(), op.beta.elem());
            let line = vec![
                ("alpha", Attribute::Float(alpha)),
                ("beta", Attribute::Float(beta)),
            ];
            context.node("HardSigmoid", &[&op.tensor], &op.out, line)
        }
        Op::Softmax(op) => {
            let axis = vec![("axis", Attribute::Int(op.axis as i64))];
            context.node("Softmax", &[&op.input], &op.out, axis)
        }
        Op::LogSoftmax(op) => {
            let axis = vec![("axis", Attribute::Int(op.axis as i64))];
            context.node("LogSoftmax", &[&op.input], &op.out, axis)
        }
        // x / 2 · (1 + erf(x / √2)): `Gelu` is an operator only since opset 20.
        Op::Gelu(op) => {
            let dtype = op.input.dtype;
            let mut number = |value| context.scalar(ScalarIr::Float(value), dtype);
            let [root, one, half] = [number(SQRT_2)?, number(1.0)?, number(0.5)?];
            let input = context.name(&op.input)?;
            let divided = context.intermediate("Div", vec![input.clone(), root], vec![]);
            let erf = context.intermediate("Erf", vec![divided], vec![]);
            let shifted = context.intermediate("Add", vec![erf, one], vec![]);
            let halved = context.intermediate("Mul", vec![input, half], vec![]);
            Ok(context.node_of("Mul", vec![halved, shifted], &op.out, vec![]))
        }
        _ => Ok(false),
    }
}
