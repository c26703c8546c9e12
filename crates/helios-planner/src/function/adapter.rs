//! A row of the function table as DataFusion's UDF, so that plans carry the implementation.

use super::arrow::{self, RowAccumulator};
use super::{FrozenContext, FunctionDef, Implementation, Volatility};
use crate::pgtype;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::function::{
    AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, PartitionEvaluator,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    WindowUDF, WindowUDFImpl,
};
use helios_types::Type;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

fn signature(volatility: Volatility) -> Signature {
    // The binder has resolved and cast the arguments. What is stable must not be folded into a
    // plan that outlives the statement, so only immutable functions are constant to DataFusion.
    let volatility = match volatility {
        Volatility::Immutable => datafusion::logical_expr::Volatility::Immutable,
        Volatility::Stable | Volatility::Volatile => datafusion::logical_expr::Volatility::Volatile,
    };
    // "Any" arguments are one at least.
    Signature::one_of(
        vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
        volatility,
    )
}

macro_rules! adapter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            pub def: &'static FunctionDef,
            /// Resolved argument types: polymorphic ones made concrete.
            pub args: Vec<Type>,
            /// Resolved result type.
            pub result: Type,
            /// The session, where it runs on other threads than the session's.
            pub context: Option<FrozenContext>,
            signature: Signature,
        }

        impl $name {
            pub fn new(def: &'static FunctionDef, args: Vec<Type>, result: Type) -> Self {
                $name { def, args, result, context: None, signature: signature(def.volatility) }
            }

            /// The same, told what it may know of the session.
            pub fn with_context(&self, context: FrozenContext) -> Self {
                $name {
                    context: Some(context),
                    ..Self::new(self.def, self.args.clone(), self.result)
                }
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.def.oid == other.def.oid && self.args == other.args && self.result == other.result
            }
        }
        impl Eq for $name {}
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.def.oid.hash(state);
                self.args.hash(state);
            }
        }
    };
}

adapter!(
    /// A scalar or set-returning function in a plan.
    PgFunction
);
adapter!(
    /// An aggregate in a plan.
    PgAggregate
);
adapter!(
    /// A window function in a plan.
    PgWindow
);

impl PgFunction {
    /// The call as an expression.
    pub fn call(self, args: Vec<Expr>) -> Expr {
        ScalarUDF::from(self).call(args)
    }
}

pub fn as_pg_function(udf: &ScalarUDF) -> Option<&PgFunction> {
    (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref()
}

pub fn as_pg_aggregate(udf: &AggregateUDF) -> Option<&PgAggregate> {
    (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref()
}

pub fn as_pg_window(udf: &WindowUDF) -> Option<&PgWindow> {
    (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref()
}

fn row_only(name: &str) -> DataFusionError {
    DataFusionError::NotImplemented(format!("{name} over Arrow arrays"))
}

impl ScalarUDFImpl for PgFunction {
    fn name(&self) -> &str {
        self.def.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(pgtype::arrow_type(self.result.oid))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(pgtype::field_ref(self.def.name, self.result))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut context = self.context.clone().unwrap_or_else(FrozenContext::nowhere);
        let rows = args.number_rows;
        arrow::invoke(
            self.def,
            &self.args,
            self.result,
            &args.args,
            rows,
            &mut context,
        )
    }
}

impl AggregateUDFImpl for PgAggregate {
    fn name(&self) -> &str {
        self.def.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(pgtype::arrow_type(self.result.oid))
    }

    fn return_field(&self, _: &[FieldRef]) -> Result<FieldRef> {
        Ok(pgtype::field_ref(self.def.name, self.result))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let Implementation::Aggregate(create) = self.def.implementation else {
            return Err(row_only(self.def.name));
        };
        Ok(Box::new(RowAccumulator {
            inner: create(&self.args),
            name: self.def.name,
            strict: self.def.strict,
            args: self.args.clone(),
            result: self.result,
            context: self.context.clone().unwrap_or_else(FrozenContext::nowhere),
            seen: args.is_distinct.then(HashSet::new),
        }))
    }
}

impl WindowUDFImpl for PgWindow {
    fn name(&self) -> &str {
        self.def.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Err(row_only(self.def.name))
    }

    fn field(&self, _: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(pgtype::field_ref(self.def.name, self.result))
    }
}
