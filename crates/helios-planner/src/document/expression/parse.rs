//! From BSON to an expression tree.

use super::*;
use crate::document::display::render;
use crate::document::error::DocError;

/// Names in scope, innermost last.
struct Scope {
    names: Vec<(String, usize)>,
    constants: Vec<(String, BsonBuf)>,
    slots: usize,
}

pub(super) fn compile(value: Bson<'_>, variables: &Variables) -> DocResult<Expression> {
    let mut scope = Scope {
        names: Vec::new(),
        constants: variables.values.clone(),
        slots: 0,
    };
    let body = scope.expression(value)?;
    Ok(Expression {
        body,
        slots: scope.slots,
    })
}

pub(super) fn sample_rate(rate: f64) -> DocResult<Expression> {
    let operator = logic::operator("$lt").ok_or_else(|| DocError::bad_value("$lt"))?;
    let rate = Expr::Constant(BsonBuf::double(rate));
    Ok(Expression {
        body: Expr::Call(operator, vec![Expr::Random, rate]),
        slots: 0,
    })
}

fn positional(name: &str) -> Option<Operator> {
    logic::operator(name)
        .or_else(|| arithmetic::operator(name))
        .or_else(|| trigonometry::operator(name))
        .or_else(|| string::operator(name))
        .or_else(|| string_search::operator(name))
        .or_else(|| array::operator(name))
        .or_else(|| set::operator(name))
        .or_else(|| object::operator(name))
        .or_else(|| convert::operator(name))
        .or_else(|| date::operator(name))
}

fn named(name: &str) -> Option<NamedOperator> {
    string_search::named(name)
        .or_else(|| array::named(name))
        .or_else(|| object::named(name))
        .or_else(|| convert::named(name))
        .or_else(|| date::named(name))
}

impl Scope {
    fn expression(&mut self, value: Bson<'_>) -> DocResult<Expr> {
        match value.tag {
            STRING => self.text(value),
            DOCUMENT => self.document(value),
            ARRAY => {
                let elements = value
                    .elements()
                    .map(|e| self.expression(e))
                    .collect::<DocResult<Vec<_>>>()?;
                Ok(fold(Expr::Array(elements)))
            }
            _ => Ok(Expr::Constant(value.to_buf())),
        }
    }

    fn text(&mut self, value: Bson<'_>) -> DocResult<Expr> {
        let text = value.as_str().unwrap_or("");
        if let Some(variable) = text.strip_prefix("$$") {
            return self.variable(variable);
        }
        let Some(path) = text.strip_prefix('$') else {
            return Ok(Expr::Constant(value.to_buf()));
        };
        check_path(path)?;
        match self.find("CURRENT") {
            Some(slot) => Ok(Expr::Variable(slot, Path::new(path))),
            None => Ok(Expr::Field(Path::new(path))),
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.names
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, slot)| *slot)
    }

    fn variable(&mut self, text: &str) -> DocResult<Expr> {
        let (name, rest) = match text.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        check_variable(name)?;
        if let Some(rest) = rest {
            check_path(rest)?;
        }
        let path = rest.map_or(Path { parts: [].into() }, Path::new);
        if let Some(slot) = self.find(name) {
            return Ok(Expr::Variable(slot, path));
        }
        if let Some((_, value)) = self.constants.iter().rev().find(|(n, _)| n == name) {
            return Ok(Expr::Constant(
                Val::Own(value.clone()).at(&path.parts).into_buf(),
            ));
        }
        match name {
            "ROOT" | "CURRENT" => Ok(Expr::Field(path)),
            "REMOVE" => Ok(Expr::Constant(BsonBuf::missing())),
            "NOW" => Ok(Expr::Constant(BsonBuf::date(
                chrono::Utc::now().timestamp_millis(),
            ))),
            "DESCEND" => Ok(Expr::Constant(BsonBuf::string("descend"))),
            "PRUNE" => Ok(Expr::Constant(BsonBuf::string("prune"))),
            "KEEP" => Ok(Expr::Constant(BsonBuf::string("keep"))),
            _ => fail!(17276, "Use of undefined variable: {name}"),
        }
    }

    fn bind(&mut self, name: &str) -> usize {
        let slot = self.slots;
        self.slots += 1;
        self.names.push((name.to_owned(), slot));
        slot
    }

    fn document(&mut self, value: Bson<'_>) -> DocResult<Expr> {
        let Some((first, argument)) = value.fields().next() else {
            return Ok(Expr::Constant(value.to_buf()));
        };
        if first.starts_with('$') {
            if value.len() != 1 {
                fail!(
                    15983,
                    "an expression specification must contain exactly one field, the name of the \
                     expression. Found {} fields in {}",
                    value.len(),
                    render(value)
                );
            }
            return self.operator(first, argument);
        }
        let mut fields = Vec::new();
        for (name, field) in value.fields() {
            if name.starts_with('$') {
                fail!(
                    15983,
                    "an expression specification must contain exactly one field, the name of the expression. Found {} fields in {}",
                    value.len(),
                    render(value)
                );
            }
            if name.contains('.') {
                fail!(
                    16412,
                    "FieldPath field names may not contain '.'. Consider using $getField or $setField."
                );
            }
            fields.push((Box::from(name), self.expression(field)?));
        }
        Ok(fold(Expr::Document(fields)))
    }

    fn arguments(&mut self, argument: Bson<'_>) -> DocResult<Vec<Expr>> {
        if argument.is_array() {
            return argument.elements().map(|e| self.expression(e)).collect();
        }
        Ok(vec![self.expression(argument)?])
    }

    fn operator(&mut self, name: &str, argument: Bson<'_>) -> DocResult<Expr> {
        match name {
            "$literal" | "$const" => return Ok(Expr::Constant(argument.to_buf())),
            "$and" => return Ok(Expr::And(self.arguments(argument)?)),
            "$or" => return Ok(Expr::Or(self.arguments(argument)?)),
            "$cond" => return self.cond(argument),
            "$ifNull" => {
                let parts = self.arguments(argument)?;
                if parts.len() < 2 {
                    fail!(
                        1257300,
                        "$ifNull needs at least two arguments, had: {}",
                        parts.len()
                    );
                }
                return Ok(Expr::IfNull(parts));
            }
            "$switch" => return self.switch(argument),
            "$let" => return self.bindings(argument),
            "$filter" => return self.filter(argument),
            "$map" => return self.map(argument),
            "$reduce" => return self.reduce(argument),
            "$rand" => {
                if !argument.is_empty() || !(argument.is_document() || argument.is_array()) {
                    fail!(3040501, "$rand does not currently accept arguments");
                }
                return Ok(Expr::Random);
            }
            "$meta" | "$function" | "$accumulator" => {
                fail!(code::COMMAND_NOT_SUPPORTED, "{name} is not supported")
            }
            _ => {}
        }
        if let Some(operator) = positional(name) {
            return self.call(operator, argument);
        }
        if let Some(operator) = named(name) {
            return self.named_call(operator, argument);
        }
        fail!(
            code::INVALID_PIPELINE_OPERATOR,
            "Unrecognized expression '{name}'"
        )
    }

    fn call(&mut self, operator: Operator, argument: Bson<'_>) -> DocResult<Expr> {
        let arguments = self.arguments(argument)?;
        let given = arguments.len();
        let Operator { name, min, max, .. } = operator;
        if given < min || given > max {
            if min == max {
                fail!(
                    16020,
                    "Expression {name} takes exactly {min} arguments. {given} were passed in."
                );
            }
            if max == usize::MAX {
                fail!(
                    16020,
                    "Expression {name} takes at least {min} arguments, and {given} were passed in."
                );
            }
            fail!(
                28667,
                "Expression {name} takes at least {min} arguments, and at most {max}, but {given} were passed in."
            );
        }
        Ok(fold(Expr::Call(operator, arguments)))
    }

    fn named_call(&mut self, operator: NamedOperator, argument: Bson<'_>) -> DocResult<Expr> {
        let NamedOperator {
            name, parameters, ..
        } = operator;
        // The date parts take a bare expression as well as an object.
        if let [("date", true), ..] = parameters
            && parameters.len() == 2
            && argument.get("date").is_missing()
        {
            let mut parts = self.arguments(argument)?;
            if argument.is_document()
                && argument
                    .fields()
                    .next()
                    .is_none_or(|(n, _)| !n.starts_with('$'))
            {
                fail!(
                    40539,
                    "missing 'date' argument to {name}, provided: {name}: {}",
                    render(argument)
                );
            }
            if parts.len() != 1 {
                fail!(
                    40536,
                    "{name} accepts exactly one argument if given an array, but was given {}",
                    parts.len()
                );
            }
            return Ok(Expr::Named(operator, vec![parts.pop(), None]));
        }
        if !argument.is_document() {
            fail!(
                code::FAILED_TO_PARSE,
                "{name} only supports an object as its argument, found: {}",
                argument.type_name()
            );
        }
        for (given, _) in argument.fields() {
            if !parameters.iter().any(|(p, _)| *p == given) {
                fail!(
                    code::FAILED_TO_PARSE,
                    "{name} found an unknown argument: {given}"
                );
            }
        }
        let mut arguments = Vec::with_capacity(parameters.len());
        for (parameter, required) in parameters {
            let value = argument.get(parameter);
            if value.is_missing() && *required {
                fail!(
                    code::FAILED_TO_PARSE,
                    "{name} requires '{parameter}' to be specified"
                );
            }
            arguments.push(if value.is_missing() {
                None
            } else {
                Some(self.expression(value)?)
            });
        }
        Ok(Expr::Named(operator, arguments))
    }

    fn cond(&mut self, argument: Bson<'_>) -> DocResult<Expr> {
        let parts = if argument.is_document() {
            for (name, _) in argument.fields() {
                if !matches!(name, "if" | "then" | "else") {
                    fail!(17083, "Unrecognized parameter to $cond: {name}");
                }
            }
            let mut parts = Vec::new();
            for (name, error) in [("if", 17080), ("then", 17081), ("else", 17082)] {
                let part = argument.get(name);
                if part.is_missing() {
                    fail!(error, "Missing '{name}' parameter to $cond");
                }
                parts.push(self.expression(part)?);
            }
            parts
        } else {
            self.arguments(argument)?
        };
        let given = parts.len();
        match <[Expr; 3]>::try_from(parts) {
            Ok(parts) => Ok(Expr::Cond(Box::new(parts))),
            Err(_) => fail!(
                16020,
                "Expression $cond takes exactly 3 arguments. {given} were passed in."
            ),
        }
    }

    fn switch(&mut self, argument: Bson<'_>) -> DocResult<Expr> {
        if !argument.is_document() {
            fail!(
                40060,
                "$switch requires an object as an argument, found: {}",
                argument.type_name()
            );
        }
        let mut branches = Vec::new();
        let mut default = None;
        for (name, value) in argument.fields() {
            match name {
                "branches" => {
                    if !value.is_array() {
                        fail!(
                            40061,
                            "$switch expected an array for 'branches', found: {}",
                            value.type_name()
                        );
                    }
                    for branch in value.elements() {
                        branches.push(self.branch(branch)?);
                    }
                }
                "default" => default = Some(Box::new(self.expression(value)?)),
                _ => fail!(40067, "$switch found an unknown argument: {name}"),
            }
        }
        if branches.is_empty() {
            fail!(40068, "$switch requires at least one branch.");
        }
        Ok(Expr::Switch { branches, default })
    }

    fn branch(&mut self, branch: Bson<'_>) -> DocResult<(Expr, Expr)> {
        if !branch.is_document() {
            fail!(
                40062,
                "$switch expected each branch to be an object, found: {}",
                branch.type_name()
            );
        }
        if let Some((name, _)) = branch
            .fields()
            .find(|(n, _)| !matches!(*n, "case" | "then"))
        {
            fail!(
                40063,
                "$switch found an unknown argument to a branch: {name}"
            );
        }
        let (case, then) = (branch.get("case"), branch.get("then"));
        if case.is_missing() {
            fail!(
                40064,
                "$switch requires each branch have a 'case' expression"
            );
        }
        if then.is_missing() {
            fail!(
                40065,
                "$switch requires each branch have a 'then' expression."
            );
        }
        Ok((self.expression(case)?, self.expression(then)?))
    }

    fn bindings(&mut self, argument: Bson<'_>) -> DocResult<Expr> {
        if !argument.is_document() {
            fail!(16874, "$let only supports an object as its argument");
        }
        if let Some((name, _)) = argument
            .fields()
            .find(|(n, _)| !matches!(*n, "vars" | "in"))
        {
            fail!(16875, "Unrecognized parameter to $let: {name}");
        }
        let (vars, body) = (argument.get("vars"), argument.get("in"));
        if vars.is_missing() {
            fail!(16876, "Missing 'vars' parameter to $let");
        }
        if body.is_missing() {
            fail!(16877, "Missing 'in' parameter to $let");
        }
        if !vars.is_document() {
            fail!(10065, "invalid parameter: expected an object (vars)");
        }
        let mut values = Vec::new();
        for (name, value) in vars.fields() {
            check_variable_definition(name)?;
            values.push((name, self.expression(value)?));
        }
        let depth = self.names.len();
        let bindings = values
            .into_iter()
            .map(|(name, value)| (self.bind(name), value))
            .collect();
        let body = Box::new(self.expression(body)?);
        self.names.truncate(depth);
        Ok(Expr::Let { bindings, body })
    }

    /// Checks the names of an object argument and returns the required ones' presence.
    fn object(
        &self,
        operator: &str,
        argument: Bson<'_>,
        required: &[(&str, i32)],
        optional: &[&str],
        errors: (i32, i32),
    ) -> DocResult<()> {
        if !argument.is_document() {
            fail!(
                errors.0,
                "{operator} only supports an object as its argument"
            );
        }
        for (name, _) in argument.fields() {
            if !required.iter().any(|(n, _)| *n == name) && !optional.contains(&name) {
                fail!(errors.1, "Unrecognized parameter to {operator}: {name}");
            }
        }
        for (name, error) in required {
            if argument.get(name).is_missing() {
                fail!(*error, "Missing '{name}' parameter to {operator}");
            }
        }
        Ok(())
    }

    /// The name given as `as`, or `this`.
    fn element_name<'b>(&self, argument: Bson<'b>) -> DocResult<&'b str> {
        let name = argument.get("as");
        if name.is_missing() {
            return Ok("this");
        }
        let Some(name) = name.as_str() else {
            fail!(16866, "'as' must be a string, found: {}", name.type_name());
        };
        check_variable_definition(name)?;
        Ok(name)
    }

    fn filter(&mut self, argument: Bson<'_>) -> DocResult<Expr> {
        let required = [("input", 28648), ("cond", 28650)];
        self.object(
            "$filter",
            argument,
            &required,
            &["as", "limit"],
            (28646, 28647),
        )?;
        let input = Box::new(self.expression(argument.get("input"))?);
        let limit = argument.get("limit");
        let limit = if limit.is_missing() {
            None
        } else {
            Some(Box::new(self.expression(limit)?))
        };
        let name = self.element_name(argument)?;
        let depth = self.names.len();
        let element = self.bind(name);
        let condition = Box::new(self.expression(argument.get("cond"))?);
        self.names.truncate(depth);
        Ok(Expr::Filter {
            input,
            element,
            condition,
            limit,
        })
    }

    fn map(&mut self, argument: Bson<'_>) -> DocResult<Expr> {
        let required = [("input", 16880), ("in", 16882)];
        self.object("$map", argument, &required, &["as"], (16878, 16879))?;
        let input = Box::new(self.expression(argument.get("input"))?);
        let name = self.element_name(argument)?;
        let depth = self.names.len();
        let element = self.bind(name);
        let body = Box::new(self.expression(argument.get("in"))?);
        self.names.truncate(depth);
        Ok(Expr::Map {
            input,
            element,
            body,
        })
    }

    fn reduce(&mut self, argument: Bson<'_>) -> DocResult<Expr> {
        let required = [("input", 40077), ("initialValue", 40078), ("in", 40079)];
        self.object("$reduce", argument, &required, &[], (40075, 40076))?;
        let input = Box::new(self.expression(argument.get("input"))?);
        let initial = Box::new(self.expression(argument.get("initialValue"))?);
        let depth = self.names.len();
        let value = self.bind("value");
        let element = self.bind("this");
        let body = Box::new(self.expression(argument.get("in"))?);
        self.names.truncate(depth);
        Ok(Expr::Reduce {
            input,
            initial,
            value,
            element,
            body,
        })
    }
}

/// Evaluates what has only constants in it, so that its errors come without any document, as
/// MongoDB's optimiser makes them.
fn fold(expr: Expr) -> Expr {
    let constant = |e: &Expr| matches!(e, Expr::Constant(_));
    let foldable = match &expr {
        Expr::Array(parts) | Expr::Call(_, parts) => parts.iter().all(constant),
        Expr::Document(fields) => fields.iter().all(|(_, e)| constant(e)),
        _ => false,
    };
    if !foldable {
        return expr;
    }
    let mut env = Env {
        root: Val::MISSING,
        slots: Vec::new(),
    };
    match eval(&expr, &mut env) {
        Ok(value) => Expr::Constant(value.into_buf()),
        // Raised when a document meets it; a branch that is never taken must not fail.
        Err(_) => expr,
    }
}

fn check_path(path: &str) -> DocResult<()> {
    if path.is_empty() {
        fail!(16872, "'$' by itself is not a valid FieldPath");
    }
    for part in path.split('.') {
        if part.is_empty() {
            let message = if path.ends_with('.') {
                (40353, "FieldPath must not end with a '.'.")
            } else {
                (15998, "FieldPath field names may not be empty strings.")
            };
            fail!(message.0, "{}", message.1);
        }
        if part.starts_with('$') {
            fail!(
                16410,
                "FieldPath field names may not start with '$'. Consider using $getField or $setField."
            );
        }
    }
    if path.contains('\0') {
        fail!(16411, "FieldPath field names may not contain '\\0'.");
    }
    Ok(())
}

fn check_variable(name: &str) -> DocResult<()> {
    if name.is_empty() {
        fail!(16869, "empty variable names are not allowed");
    }
    Ok(())
}

/// Names that a user may bind: a lower-case or non-ASCII letter, then letters, digits and `_`.
fn check_variable_definition(name: &str) -> DocResult<()> {
    check_variable(name)?;
    if name == "CURRENT" {
        return Ok(());
    }
    let first = name.chars().next().unwrap_or('A');
    if first.is_ascii() && !first.is_ascii_lowercase() {
        fail!(
            16867,
            "'{name}' starts with an invalid character for a user variable name"
        );
    }
    if let Some(bad) = name
        .chars()
        .find(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && *c != '_')
    {
        fail!(
            16868,
            "'{name}' contains an invalid character for a variable name: '{bad}'"
        );
    }
    Ok(())
}
