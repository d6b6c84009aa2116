//! Convolutions, pools, normalizations and linear layers.

use super::super::graph::Attribute;
use super::context::{Attributes, Context};
use burn::backend::ir::{ModuleOperationIr, TensorIr};

/// Adds the nodes of a layer. Returns whether there are any.
pub fn lower(context: &mut Context<'_>, operation: &ModuleOperationIr) -> Result<bool, String> {
    use ModuleOperationIr as Op;
    match operation {
        Op::Conv1d(op) => {
            let options = &op.options;
            let attributes = convolution(
                &options.stride,
                &options.padding,
                &options.dilation,
                options.groups,
            );
            let inputs = with_bias([&op.x, &op.weight], op.bias.as_ref());
            context.node("Conv", &inputs, &op.out, attributes)
        }
        Op::Conv2d(op) => {
            let options = &op.options;
            let attributes = convolution(
                &options.stride,
                &options.padding,
                &options.dilation,
                options.groups,
            );
            let inputs = with_bias([&op.x, &op.weight], op.bias.as_ref());
            context.node("Conv", &inputs, &op.out, attributes)
        }
        Op::BatchNorm(op) => {
            let inputs = [&op.x, &op.gamma, &op.beta, &op.mean, &op.variance];
            let epsilon = vec![("epsilon", Attribute::Float(op.epsilon.elem()))];
            context.node("BatchNormalization", &inputs, &op.out, epsilon)
        }
        Op::LayerNorm(op) => {
            let inputs = with_bias([&op.input, &op.gamma], op.beta.as_ref());
            let attributes = vec![
                ("axis", Attribute::Int(-1)),
                ("epsilon", Attribute::Float(op.epsilon.elem())),
            ];
            context.node("LayerNormalization", &inputs, &op.out, attributes)
        }
        Op::Linear(op) => {
            let inputs = vec![context.name(&op.x)?, context.name(&op.weight)?];
            let Some(bias) = &op.bias else {
                return Ok(context.node_of("MatMul", inputs, &op.out, vec![]));
            };
            let product = context.intermediate("MatMul", inputs, vec![]);
            let bias = context.name(bias)?;
            Ok(context.node_of("Add", vec![product, bias], &op.out, vec![]))
        }
        Op::Embedding(op) => {
            let rows = vec![("axis", Attribute::Int(0))];
            context.node("Gather", &[&op.weights, &op.indices], &op.out, rows)
        }
        Op::MaxPool2d(op) => {
            let mut attributes = pool(&op.kernel_size, &op.stride, &op.padding, op.ceil_mode);
            attributes.push(("dilations", ints(&op.dilation)));
            context.node("MaxPool", &[&op.x], &op.out, attributes)
        }
        Op::AvgPool2d(op) => {
            let mut attributes = pool(&op.kernel_size, &op.stride, &op.padding, op.ceil_mode);
            let counts = i64::from(op.count_include_pad);
            attributes.push(("count_include_pad", Attribute::Int(counts)));
            context.node("AveragePool", &[&op.x], &op.out, attributes)
        }
        Op::AdaptiveAvgPool2d(op) if op.output_size == [1, 1] => {
            context.node("GlobalAveragePool", &[&op.x], &op.out, vec![])
        }
        // Windows of one size, if the sizes are multiples.
        Op::AdaptiveAvgPool2d(op) => {
            let [height, width] = [op.x.shape[2], op.x.shape[3]];
            let [rows, columns] = op.output_size;
            if !height.is_multiple_of(rows) || !width.is_multiple_of(columns) {
                return Ok(false);
            }
            let kernel = [height / rows, width / columns];
            let attributes = pool(&kernel, &kernel, &[0, 0], false);
            context.node("AveragePool", &[&op.x], &op.out, attributes)
        }
        _ => Ok(false),
    }
}

fn with_bias<'a>(inputs: [&'a TensorIr; 2], bias: Option<&'a TensorIr>) -> Vec<&'a TensorIr> {
    inputs.into_iter().chain(bias).collect()
}

fn ints(values: &[usize]) -> Attribute {
    Attribute::Ints(values.iter().map(|&value| value as i64).collect())
}

fn convolution(
    stride: &[usize],
    padding: &[(usize, usize)],
    dilation: &[usize],
    groups: usize,
) -> Attributes {
    let before = padding.iter().map(|(before, _)| *before);
    let after = padding.iter().map(|(_, after)| *after);
    let padding: Vec<_> = before.chain(after).collect();
    vec![
        ("strides", ints(stride)),
        ("pads", ints(&padding)),
        ("dilations", ints(dilation)),
        ("group", Attribute::Int(groups as i64)),
    ]
}

fn pool(kernel: &[usize], stride: &[usize], padding: &[usize], ceil: bool) -> Attributes {
    vec![
        ("kernel_shape", ints(kernel)),
        ("strides", ints(stride)),
        ("pads", ints(&[padding, padding].concat())),
        ("ceil_mode", Attribute::Int(i64::from(ceil))),
    ]
}
