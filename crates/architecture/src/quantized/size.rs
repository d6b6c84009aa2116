use super::grid::Grid;
use super::scope::{Parameter, Scope, parameters};
use burn::module::Module;

/// Size of the tensors of a quantized network in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantizedSize {
    /// All tensors in single precision.
    pub single_precision: u64,
    /// Quantized weights packed in their bits, with two numbers in single precision for each bucket,
    /// one for each learned step or level, and all other tensors in single precision.
    pub packed: u64,
}

/// Bytes of a number in single precision.
const SINGLE: u64 = 4;

impl QuantizedSize {
    /// Returns the size of all tensors of a module in single precision, in bytes.
    pub fn in_single_precision<M: Module>(module: &M) -> u64 {
        let all = parameters(module);
        let count: usize = all.iter().map(|parameter| parameter.count).sum();
        SINGLE * count as u64
    }

    pub(super) fn of(parameters: &[Parameter], scope: &Scope, bits: usize, grid: Grid) -> Self {
        let mut size = Self {
            single_precision: 0,
            packed: 0,
        };
        for parameter in parameters {
            let single = SINGLE * parameter.count as u64;
            size.single_precision += single;
            size.packed += match scope.number(&parameter.path) {
                None => single,
                Some(_) => {
                    let numbers = match grid {
                        Grid::Uniform(grid) => 2 * grid.buckets(parameter.count),
                        Grid::LearnedStep(_) => 1,
                        Grid::LearnedLevels(grid) => {
                            2 * grid.buckets(parameter.count) + grid.level_count()
                        }
                    };
                    (parameter.count * bits).div_ceil(8) as u64 + SINGLE * numbers as u64
                }
            };
        }
        size
    }
}
