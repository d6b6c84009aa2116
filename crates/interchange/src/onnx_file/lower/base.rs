//! Operations that move values.

use super::super::graph::{Attribute, Size};
use super::context::{Context, element_of, size, sizes};
use burn::backend::ir::{BaseOperationIr, OperationIr, ScalarIr, SliceOpIr, TensorIr};
use burn::tensor::Slice;

/// Adds the nodes of an operation, given the same operation of the other pass. Returns whether
/// there are any.
pub fn lower(
    context: &mut Context<'_>,
    operation: &BaseOperationIr,
    other: &OperationIr,
) -> Result<bool, String> {
    use BaseOperationIr as Op;
    let other = match other {
        OperationIr::BaseFloat(other)
        | OperationIr::BaseInt(other)
        | OperationIr::BaseBool(other) => other,
        _ => return Ok(false),
    };
    match (operation, other) {
        (Op::Reshape(op), Op::Reshape(other)) => {
            let sizes = sizes(&op.out, &other.out)?;
            let shape = reshaped(context, &sizes)?;
            let input = context.name(&op.input)?;
            Ok(context.node_of("Reshape", vec![input, shape], &op.out, vec![]))
        }
        (Op::Expand(op), Op::Expand(other)) => {
            let sizes = sizes(&op.out, &other.out)?;
            expanded(context, &op.input, &sizes, &op.out)
        }
        (Op::RepeatDim(op), Op::RepeatDim(other)) => {
            let mut times = vec![Size::Fixed(1); op.tensor.shape.num_dims()];
            times[op.dim] = size(op.times, other.times)?;
            let times = context.shape(&times)?;
            let input = context.name(&op.tensor)?;
            Ok(context.node_of("Tile", vec![input, times], &op.out, vec![]))
        }
        (Op::Slice(op), Op::Slice(other)) => sliced(context, op, other),
        (Op::Ones(op), Op::Ones(other)) => filled(context, 1, &op.out, &other.out),
        (Op::Zeros(op), Op::Zeros(other)) => filled(context, 0, &op.out, &other.out),
        (Op::SwapDims(op), _) => {
            let mut axes: Vec<_> = (0..op.input.shape.num_dims()).collect();
            axes.swap(op.dim1, op.dim2);
            transposed(context, &op.input, &axes, &op.out)
        }
        (Op::Permute(op), _) => transposed(context, &op.input, &op.axes, &op.out),
        (Op::Cat(op), _) => {
            let inputs: Vec<_> = op.tensors.iter().collect();
            context.node("Concat", &inputs, &op.out, axis(op.dim))
        }
        (Op::Select(op), _) => {
            context.node("Gather", &[&op.tensor, &op.indices], &op.out, axis(op.dim))
        }
        (Op::Gather(op), _) => {
            let inputs = [&op.tensor, &op.indices];
            context.node("GatherElements", &inputs, &op.out, axis(op.dim))
        }
        (Op::MaskWhere(op), _) => {
            context.node("Where", &[&op.mask, &op.value, &op.tensor], &op.out, vec![])
        }
        (Op::MaskFill(op), _) => {
            let value = context.scalar(op.value, op.tensor.dtype)?;
            let inputs = vec![context.name(&op.mask)?, value, context.name(&op.tensor)?];
            Ok(context.node_of("Where", inputs, &op.out, vec![]))
        }
        (Op::Cast(op), _) => cast(context, &op.input, &op.out),
        (Op::Equal(op), _) => context.node("Equal", &[&op.lhs, &op.rhs], &op.out, vec![]),
        (Op::EqualElem(op), _) => {
            let value = context.scalar(op.rhs, op.lhs.dtype)?;
            let inputs = vec![context.name(&op.lhs)?, value];
            Ok(context.node_of("Equal", inputs, &op.out, vec![]))
        }
        (Op::NotEqualElem(op), _) => {
            let value = context.scalar(op.rhs, op.lhs.dtype)?;
            let inputs = vec![context.name(&op.lhs)?, value];
            let equal = context.intermediate("Equal", inputs, vec![]);
            Ok(context.node_of("Not", vec![equal], &op.out, vec![]))
        }
        _ => Ok(false),
    }
}

/// Adds a conversion to the type of another tensor.
pub fn cast(
    context: &mut Context<'_>,
    input: &TensorIr,
    output: &TensorIr,
) -> Result<bool, String> {
    let to = element_of(output.dtype)? as i64;
    context.node("Cast", &[input], output, vec![("to", Attribute::Int(to))])
}

/// Adds a tensor of one value.
fn filled(
    context: &mut Context<'_>,
    value: i64,
    first: &TensorIr,
    second: &TensorIr,
) -> Result<bool, String> {
    let value = context.scalar(ScalarIr::Int(value), first.dtype)?;
    let shape = context.shape(&sizes(first, second)?)?;
    Ok(context.node_of("Expand", vec![value, shape], first, vec![]))
}

fn axis(axis: usize) -> Vec<(&'static str, Attribute)> {
    vec![("axis", Attribute::Int(axis as i64))]
}

fn transposed(
    context: &mut Context<'_>,
    input: &TensorIr,
    axes: &[usize],
    output: &TensorIr,
) -> Result<bool, String> {
    let axes = axes.iter().map(|&axis| axis as i64).collect();
    context.node(
        "Transpose",
        &[input],
        output,
        vec![("perm", Attribute::Ints(axes))],
    )
}

/// Returns the name of the shape of a `Reshape`, which infers one size that depends on the batch.
fn reshaped(context: &mut Context<'_>, sizes: &[Size]) -> Result<String, String> {
    let is_batch = |size: &&Size| matches!(size, Size::Batch(_));
    if sizes.iter().filter(is_batch).count() > 1 {
        return context.shape(sizes);
    }
    let inferred = sizes.iter().map(|size| match size {
        Size::Fixed(size) => *size as i64,
        Size::Batch(_) => -1,
    });
    let inferred: Vec<_> = inferred.collect();
    Ok(context.ints(&inferred))
}

/// Adds an `Expand`, whose shape may keep an axis by a size of 1.
fn expanded(
    context: &mut Context<'_>,
    input: &TensorIr,
    sizes: &[Size],
    output: &TensorIr,
) -> Result<bool, String> {
    let missing = sizes.len() - input.shape.num_dims();
    // An axis that is there already keeps its size.
    let kept = sizes.iter().enumerate().map(|(axis, &size)| {
        let is_there = axis >= missing && input.shape[axis - missing] == output.shape[axis];
        if is_there { Size::Fixed(1) } else { size }
    });
    let kept: Vec<_> = kept.collect();
    let shape = context.shape(&kept)?;
    let input = context.name(input)?;
    Ok(context.node_of("Expand", vec![input, shape], output, vec![]))
}

fn sliced(context: &mut Context<'_>, op: &SliceOpIr, other: &SliceOpIr) -> Result<bool, String> {
    let [mut starts, mut ends, mut axes, mut steps] = [vec![], vec![], vec![], vec![]];
    let axes_of = op.ranges.iter().zip(&other.ranges).enumerate();
    for (axis, (range, other_range)) in axes_of {
        let covers = |range: &Slice, size: usize| {
            range.start == 0
                && range.step == 1
                && range
                    .end
                    .is_none_or(|end| end.unsigned_abs() >= size && end > 0)
        };
        if covers(range, op.tensor.shape[axis]) && covers(other_range, other.tensor.shape[axis]) {
            continue;
        }
        if range != other_range {
            return Err("it takes a part of the samples of a batch".into());
        }
        if range.step < 1 {
            return Err("it reverses the order of values".into());
        }
        starts.push(range.start as i64);
        ends.push(range.end.map_or(i64::MAX, |end| end as i64));
        axes.push(axis as i64);
        steps.push(range.step as i64);
    }
    let input = context.name(&op.tensor)?;
    if axes.is_empty() {
        return Ok(context.node_of("Identity", vec![input], &op.out, vec![]));
    }
    let numbers = [starts, ends, axes, steps].map(|numbers| context.ints(&numbers));
    let inputs = [input].into_iter().chain(numbers).collect();
    Ok(context.node_of("Slice", inputs, &op.out, vec![]))
}
