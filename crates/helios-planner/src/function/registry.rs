//! The tables of functions, operators and casts, and their look-up.

use super::{CastDef, FunctionDef, OperatorDef, catalog, table};
use helios_types::Oid;
use std::collections::HashMap;
use std::sync::OnceLock;

/// All built-in functions, operators and casts.
pub struct Registry {
    functions: HashMap<&'static str, Vec<&'static FunctionDef>>,
    by_oid: HashMap<Oid, &'static FunctionDef>,
    operators: HashMap<&'static str, Vec<&'static OperatorDef>>,
    casts: HashMap<(Oid, Oid), &'static CastDef>,
}

impl Registry {
    pub fn new(
        functions: impl IntoIterator<Item = &'static FunctionDef>,
        operators: impl IntoIterator<Item = &'static OperatorDef>,
        casts: impl IntoIterator<Item = &'static CastDef>,
    ) -> Self {
        let mut registry = Registry {
            functions: HashMap::new(),
            by_oid: HashMap::new(),
            operators: HashMap::new(),
            casts: HashMap::new(),
        };
        for f in functions {
            registry.functions.entry(f.name).or_default().push(f);
            registry.by_oid.insert(f.oid, f);
        }
        for o in operators {
            registry.operators.entry(o.name).or_default().push(o);
        }
        for c in casts {
            registry.casts.insert((c.source, c.target), c);
        }
        registry
    }

    /// Every function of this name, whatever its arguments.
    pub fn functions_named(&self, name: &str) -> &[&'static FunctionDef] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn function(&self, oid: Oid) -> Option<&'static FunctionDef> {
        self.by_oid.get(&oid).copied()
    }

    pub fn operators_named(&self, name: &str) -> &[&'static OperatorDef] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn cast(&self, source: Oid, target: Oid) -> Option<&'static CastDef> {
        self.casts.get(&(source, target)).copied()
    }

    pub fn all_functions(&self) -> impl Iterator<Item = &'static FunctionDef> {
        self.by_oid.values().copied()
    }

    pub fn all_operators(&self) -> impl Iterator<Item = &'static OperatorDef> {
        self.operators.values().flatten().copied()
    }

    pub fn all_casts(&self) -> impl Iterator<Item = &'static CastDef> {
        self.casts.values().copied()
    }
}

/// The built-ins, made once.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let functions = table::FUNCTIONS.iter().copied().flatten();
        let functions = functions.chain(crate::document::function::FUNCTIONS);
        let functions = functions.chain(catalog::FUNCTIONS.iter().copied().flatten());
        Registry::new(
            functions,
            table::OPERATORS,
            table::CASTS.iter().chain(catalog::CASTS),
        )
    })
}
