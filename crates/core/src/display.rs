/// Show a module on one line, as burn shows its losses: its name and these of its fields.
///
/// A `?` before a field shows its `Debug` form, for what is no module, such as an enum. The module
/// is one of `#[module(custom_display)]`.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn_distill_core::one_line_display;
///
/// #[derive(Clone, Copy, Debug)]
/// enum Distance {
///     Squared,
/// }
///
/// #[derive(Module, Debug)]
/// #[module(custom_display)]
/// struct Margin {
///     size: f64,
///     #[module(skip)]
///     distance: Distance,
/// }
///
/// one_line_display!(Margin: size, ?distance);
///
/// let margin = Margin { size: 1.0, distance: Distance::Squared };
/// assert_eq!(format!("{margin}"), "Margin {size: 1, distance: Squared}");
/// ```
///
/// Of a module around another: `one_line_display!(Chunked<L>: loss, ?chunk_rows)`.
#[macro_export]
macro_rules! one_line_display {
    ($module:ident $(<$inner:ident>)? $(: $($fields:tt)*)?) => {
        impl $(<$inner: burn::module::Module + burn::module::ModuleDisplay>)?
            burn::module::ModuleDisplay for $module $(<$inner>)?
        {
            fn custom_settings(&self) -> Option<burn::module::DisplaySettings> {
                burn::module::DisplaySettings::new()
                    .with_new_line_after_attribute(false)
                    .optional()
            }

            fn custom_content(
                &self,
                content: burn::module::Content,
            ) -> Option<burn::module::Content> {
                $crate::one_line_display!(@add self, content, $($($fields)*)?).optional()
            }
        }
    };
    (@add $module:ident, $content:expr,) => {
        $content
    };
    (@add $module:ident, $content:expr, ?$field:ident $(, $($rest:tt)*)?) => {
        $crate::one_line_display!(
            @add $module,
            $content.add_debug_attribute(stringify!($field), &$module.$field),
            $($($rest)*)?
        )
    };
    (@add $module:ident, $content:expr, $field:ident $(, $($rest:tt)*)?) => {
        $crate::one_line_display!(
            @add $module,
            $content.add(stringify!($field), &$module.$field),
            $($($rest)*)?
        )
    };
}
