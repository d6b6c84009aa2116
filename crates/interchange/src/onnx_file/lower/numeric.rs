//! Arithmetic, reductions and comparisons.

use super::super::graph::Attribute;
use super::base::cast;
use super::context::{Attributes, Context, sizes};
use burn::backend::ir::{
    BoolOperationIr, FloatOperationIr, IntOperationIr, NumericOperationIr, OperationIr, PadModeIr,
    ScalarIr, ScalarOpIr, TensorIr,
};

/// Adds the nodes of an operation, given the same operation of the other pass. Returns whether
/// there are any.
pub fn lower(
    context: &mut Context<'_>,
    operation: &NumericOperationIr,
    other: &OperationIr,
) -> Result<bool, String> {
    use NumericOperationIr as Op;
    let binary = match operation {
        Op::Add(op) => Some(("Add", op)),
        Op::Sub(op) => Some(("Sub", op)),
        Op::Mul(op) => Some(("Mul", op)),
        Op::Div(op) => Some(("Div", op)),
        Op::Powi(op) => Some(("Pow", op)),
        Op::Greater(op) => Some(("Greater", op)),
        Op::GreaterEqual(op) => Some(("GreaterOrEqual", op)),
        Op::Lower(op) => Some(("Less", op)),
        Op::LowerEqual(op) => Some(("LessOrEqual", op)),
        _ => None,
    };
    if let Some((operator, op)) = binary {
        return context.node(operator, &[&op.lhs, &op.rhs], &op.out, vec![]);
    }
    let scalar = match operation {
        Op::AddScalar(op) => Some(("Add", op)),
        Op::SubScalar(op) => Some(("Sub", op)),
        Op::MulScalar(op) => Some(("Mul", op)),
        Op::DivScalar(op) => Some(("Div", op)),
        Op::PowiScalar(op) => Some(("Pow", op)),
        Op::GreaterElem(op) => Some(("Greater", op)),
        Op::GreaterEqualElem(op) => Some(("GreaterOrEqual", op)),
        Op::LowerElem(op) => Some(("Less", op)),
        Op::LowerEqualElem(op) => Some(("LessOrEqual", op)),
        _ => None,
    };
    if let Some((operator, op)) = scalar {
        return with_scalar(context, operator, op);
    }
    match operation {
        Op::Abs(op) => context.node("Abs", &[&op.input], &op.out, vec![]),
        Op::Neg(op) => context.node("Neg", &[&op.input], &op.out, vec![]),
        Op::Sign(op) => context.node("Sign", &[&op.input], &op.out, vec![]),
        Op::MeanDim(op) => reduced(context, "ReduceMean", &op.input, &[op.axis], &op.out),
        Op::MaxDim(op) => reduced(context, "ReduceMax", &op.input, &[op.axis], &op.out),
        Op::MinDim(op) => reduced(context, "ReduceMin", &op.input, &[op.axis], &op.out),
        Op::SumDim(op) => summed(context, &op.input, &[op.axis], &op.out),
        Op::SumDims(op) => summed(context, &op.input, &op.axes, &op.out),
        Op::Clamp(op) => clipped(context, &op.tensor, [Some(op.min), Some(op.max)], &op.out),
        Op::ClampMin(op) => clipped(context, &op.lhs, [Some(op.rhs), None], &op.out),
        Op::ClampMax(op) => clipped(context, &op.lhs, [None, Some(op.rhs)], &op.out),
        Op::Full(op) => {
            let Some(second) = other.outputs().next() else {
                return Ok(false);
            };
            let value = context.scalar(op.value, op.out.dtype)?;
            let shape = context.shape(&sizes(&op.out, second)?)?;
            Ok(context.node_of("Expand", vec![value, shape], &op.out, vec![]))
        }
        Op::Pad(op) => {
            let before = op.padding.iter().map(|(before, _)| *before as i64);
            let after = op.padding.iter().map(|(_, after)| *after as i64);
            let widths: Vec<_> = before.chain(after).collect();
            let mut inputs = vec![context.name(&op.input)?, context.ints(&widths)];
            let mode = match op.mode {
                PadModeIr::Constant(value) => {
                    inputs.push(context.scalar(value, op.input.dtype)?);
                    "constant"
                }
                PadModeIr::Reflect => "reflect",
                PadModeIr::Edge => "edge",
            };
            let mode = vec![("mode", Attribute::Text(mode))];
            Ok(context.node_of("Pad", inputs, &op.out, mode))
        }
        _ => Ok(false),
    }
}

/// Adds the nodes of an operation on floating-point numbers.
pub fn lower_float(
    context: &mut Context<'_>,
    operation: &FloatOperationIr,
) -> Result<bool, String> {
    use FloatOperationIr as Op;
    let unary = match operation {
        Op::Exp(op) => Some(("Exp", op)),
        Op::Log(op) => Some(("Log", op)),
        Op::Erf(op) => Some(("Erf", op)),
        Op::Sqrt(op) => Some(("Sqrt", op)),
        Op::Sin(op) => Some(("Sin", op)),
        Op::Cos(op) => Some(("Cos", op)),
        Op::Tanh(op) => Some(("Tanh", op)),
        Op::Floor(op) => Some(("Floor", op)),
        Op::Ceil(op) => Some(("Ceil", op)),
        Op::Recip(op) => Some(("Reciprocal", op)),
        _ => None,
    };
    if let Some((operator, op)) = unary {
        return context.node(operator, &[&op.input], &op.out, vec![]);
    }
    match operation {
        Op::Matmul(op) => context.node("MatMul", &[&op.lhs, &op.rhs], &op.out, vec![]),
        Op::Powf(op) => context.node("Pow", &[&op.lhs, &op.rhs], &op.out, vec![]),
        Op::PowfScalar(op) => with_scalar(context, "Pow", op),
        Op::IntoInt(op) => cast(context, &op.input, &op.out),
        _ => Ok(false),
    }
}

/// Adds the nodes of an operation on whole numbers.
pub fn lower_int(context: &mut Context<'_>, operation: &IntOperationIr) -> Result<bool, String> {
    match operation {
        IntOperationIr::IntoFloat(op) => cast(context, &op.input, &op.out),
        _ => Ok(false),
    }
}

/// Adds the nodes of an operation on truth values.
pub fn lower_bool(context: &mut Context<'_>, operation: &BoolOperationIr) -> Result<bool, String> {
    use BoolOperationIr as Op;
    match operation {
        Op::IntoFloat(op) | Op::IntoInt(op) => cast(context, &op.input, &op.out),
        Op::Not(op) => context.node("Not", &[&op.input], &op.out, vec![]),
        Op::And(op) => context.node("And", &[&op.lhs, &op.rhs], &op.out, vec![]),
        Op::Or(op) => context.node("Or", &[&op.lhs, &op.rhs], &op.out, vec![]),
        Op::Xor(op) => context.node("Xor", &[&op.lhs, &op.rhs], &op.out, vec![]),
    }
}

fn with_scalar(
    context: &mut Context<'_>,
    operator: &'static str,
    op: &ScalarOpIr,
) -> Result<bool, String> {
    let value = context.scalar(op.rhs, op.lhs.dtype)?;
    let inputs = vec![context.name(&op.lhs)?, value];
    Ok(context.node_of(operator, inputs, &op.out, vec![]))
}

fn clipped(
    context: &mut Context<'_>,
    input: &TensorIr,
    limits: [Option<ScalarIr>; 2],
    output: &TensorIr,
) -> Result<bool, String> {
    let mut inputs = vec![context.name(input)?];
    for limit in limits {
        inputs.push(match limit {
            Some(limit) => context.scalar(limit, input.dtype)?,
            None => String::new(),
        });
    }
    if inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    Ok(context.node_of("Clip", inputs, output, vec![]))
}

fn keeps(input: &TensorIr, output: &TensorIr) -> (&'static str, Attribute) {
    let keeps = input.shape.num_dims() == output.shape.num_dims();
    ("keepdims", Attribute::Int(i64::from(keeps)))
}

/// Adds a reduction whose axes are an attribute.
fn reduced(
    context: &mut Context<'_>,
    operator: &'static str,
    input: &TensorIr,
    axes: &[usize],
    output: &TensorIr,
) -> Result<bool, String> {
    let axes = axes.iter().map(|&axis| axis as i64).collect();
    let attributes: Attributes = vec![("axes", Attribute::Ints(axes)), keeps(input, output)];
    context.node(operator, &[input], output, attributes)
}

/// Adds a sum, whose axes are an input.
fn summed(
    context: &mut Context<'_>,
    input: &TensorIr,
    axes: &[usize],
    output: &TensorIr,
) -> Result<bool, String> {
    let axes: Vec<_> = axes.iter().map(|&axis| axis as i64).collect();
    let inputs = vec![context.name(input)?, context.ints(&axes)];
    Ok(context.node_of("ReduceSum", inputs, output, vec![keeps(input, output)]))
}
