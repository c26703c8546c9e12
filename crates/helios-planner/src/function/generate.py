#!/usr/bin/env python3
"""Writes the tables in table/ from the catalog of a real PostgreSQL 15.

    generate.py "host=/tmp/types port=25415 user=postgres dbname=postgres"

OIDs, argument types, results, strictness and volatility are PostgreSQL's; which function of ours
stands behind a name is said here. `name` matches every overload over supported types,
`name(types)` one, a pattern between slashes many.
"""
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SUPPORTED = """bool bytea char name int8 int2 int2vector int4 regproc text oid xid oidvector json
    float4 float8 bpchar varchar date time timestamp timestamptz interval numeric regclass regtype
    record any anyarray void anyelement anynonarray uuid jsonb regnamespace regrole regprocedure regoper regoperator anycompatible anycompatiblearray
    anycompatiblenonarray""".split()

INT = r"(int2|int4|int8|int24|int42|int28|int82|int48|int84)"
FLOAT = r"(float4|float8|float48|float84)"
# Name stems of comparison functions; the suffix says which comparison.
STEMS = INT[:-1] + "|" + FLOAT[1:-1] + "|bool|char|name|text|bpchar|bytea|oid|date|time|timestamp|timestamptz|interval|uuid|jsonb|array|record|numeric|nametext|textname|oidvector|)"

TOPICS = {
    "number": [
        (f"/{INT}pl|{FLOAT}pl|numeric_add/", "arithmetic::add"),
        (f"/{INT}mi|{FLOAT}mi|numeric_sub/", "arithmetic::subtract"),
        (f"/{INT}mul|{FLOAT}mul|numeric_mul/", "arithmetic::multiply"),
        (f"/{INT}div|{FLOAT}div|numeric_div/", "arithmetic::divide"),
        (f"/{INT}mod|mod|numeric_mod/", "arithmetic::modulo"),
        (r"/(int2|int4|int8|float4|float8)um|numeric_uminus/", "arithmetic::negate"),
        (r"/(int2|int4|int8|float4|float8)up|numeric_uplus/", "arithmetic::identity"),
        (r"/abs|(int2|int4|int8|float4|float8)abs|numeric_abs/", "arithmetic::absolute"),
        (r"/(int2|int4|int8)and/", "arithmetic::bit_and"), (r"/(int2|int4|int8)or/", "arithmetic::bit_or"),
        (r"/(int2|int4|int8)xor/", "arithmetic::bit_xor"), (r"/(int2|int4|int8)not/", "arithmetic::bit_not"),
        (r"/(int2|int4|int8)shl/", "arithmetic::shift_left"), (r"/(int2|int4|int8)shr/", "arithmetic::shift_right"),
        ("/int8inc|int4inc|numeric_inc/", "arithmetic::increment"),
        ("div", "arithmetic::divide_whole"), ("numeric_div_trunc", "arithmetic::divide_whole"),
        ("/ceil|ceiling/", "math::ceil"), ("floor", "math::floor"), ("/round|dround/", "math::round"),
        ("/trunc|dtrunc/", "math::trunc"), ("sign", "math::sign"),
        ("/sqrt|dsqrt|numeric_sqrt/", "math::sqrt"), ("/cbrt|dcbrt/", "math::cbrt"),
        ("/exp|dexp|numeric_exp/", "math::exp"), ("/ln|dlog1|numeric_ln/", "math::ln"),
        ("/log|log10|dlog10|numeric_log/", "math::log"), ("/power|pow|dpow|numeric_power/", "math::power"),
        *[(f, f"math::{f}") for f in """sin cos tan cot asin acos atan atan2 sinh cosh tanh asinh acosh
            atanh degrees radians sind cosd tand asind acosd atand atan2d pi gcd lcm random setseed
            min_scale trim_scale width_bucket to_hex""".split()],
        ("scale", "math::numeric_scale"), ("/factorial|numeric_fac/", "math::factorial"),
        ("booland_statefunc", "math::bool_and"), ("boolor_statefunc", "math::bool_or"),
    ],
    "compare": [
        (f"/{STEMS}_?eq(_timestamp|_timestamptz|_date|fast)?/", "compare::equal"),
        (f"/{STEMS}_?ne(_timestamp|_timestamptz|_date)?/", "compare::not_equal"),
        (f"/({STEMS}_?lt(_timestamp|_timestamptz|_date)?|(text|bpchar)_pattern_lt)/", "compare::less"),
        (f"/({STEMS}_?le(_timestamp|_timestamptz|_date)?|(text|bpchar)_pattern_le)/", "compare::less_or_equal"),
        (f"/({STEMS}_?gt(_timestamp|_timestamptz|_date)?|(text|bpchar)_pattern_gt)/", "compare::greater"),
        (f"/({STEMS}_?ge(_timestamp|_timestamptz|_date)?|(text|bpchar)_pattern_ge)/", "compare::greater_or_equal"),
        (f"/(bt)?{STEMS}_?cmp(_timestamp|_timestamptz|_date)?/", "compare::three_way"),
        (r"/(int2|int4|int8|float4|float8|text|bpchar|oid|date|time|timestamp|timestamptz|interval|numeric|array)_?larger/", "compare::larger"),
        (r"/(int2|int4|int8|float4|float8|text|bpchar|oid|date|time|timestamp|timestamptz|interval|numeric|array)_?smaller/", "compare::smaller"),
    ],
    "text": [
        ("/length|char_length|character_length|textlen|bpcharlen/", "string::length"),
        ("/octet_length|textoctetlen|bpcharoctetlen|byteaoctetlen/", "string::octet_length"),
        ("bit_length", "string::bit_length"),
        *[(f, f"string::{f}") for f in """lower upper initcap left right lpad rpad btrim ltrim rtrim
            replace translate repeat reverse split_part overlay ascii chr starts_with quote_ident
            concat_ws quote_literal quote_nullable format string_to_array array_to_string parse_ident""".split()],
        ("/textcat|byteacat/", "string::concat"), ("/textanycat|anytextcat/", "string::concat_any"),
        ("concat", "string::concat_all"),
        ("/substring|substr/(text,int4)(text,int4,int4)(bytea,int4)(bytea,int4,int4)", "string::substring"),
        ("/strpos|position/", "string::position"),
        ("/bytealike|textlike|namelike|bpcharlike|like/", "pattern::like"),
        ("/byteanlike|textnlike|namenlike|bpcharnlike|notlike/", "pattern::not_like"),
        ("/texticlike|nameiclike|bpchariclike/", "pattern::ilike"),
        ("/texticnlike|nameicnlike|bpcharicnlike/", "pattern::not_ilike"),
        ("like_escape(text,text)", "pattern::like_escape"),
        ("/similar_to_escape|similar_escape/", "pattern::similar_to_escape"),
        ("/(text|name|bpchar)regexeq/", "pattern::matches"), ("/(text|name|bpchar)regexne/", "pattern::not_matches"),
        ("/(text|name|bpchar)icregexeq/", "pattern::imatches"), ("/(text|name|bpchar)icregexne/", "pattern::not_imatches"),
        ("substring(text,text)", "pattern::regexp_substring"), ("substring(text,text,text)", "pattern::similar_substring"),
        *[(f, f"pattern::{f}") for f in """regexp_like regexp_replace regexp_match regexp_matches
            regexp_split_to_array regexp_split_to_table regexp_count regexp_substr regexp_instr""".split()],
        *[(f, f"encoding::{f}") for f in """encode decode md5 sha224 sha256 sha384 sha512 convert_to
            convert_from get_byte set_byte get_bit set_bit gen_random_uuid""".split()],
        ("string_to_table", "set::string_to_table"),
    ],
    "time": [
        ("/now|transaction_timestamp/", "datetime::transaction_time"), ("statement_timestamp", "datetime::statement_time"),
        ("clock_timestamp", "datetime::clock_time"), ("timeofday", "datetime::time_of_day"),
        ("/date_pli|integer_pl_date/", "datetime::date_plus_days"), ("date_mii", "datetime::date_minus_days"),
        ("date_mi", "datetime::date_difference"),
        ("/(date|timestamp|timestamptz|time)_pl_interval|interval_pl_(date|timestamp|timestamptz|time)|interval_pl/", "datetime::plus_interval"),
        ("/(date|timestamp|timestamptz|time)_mi_interval|interval_mi/", "datetime::minus_interval"),
        ("/timestamp_mi|timestamptz_mi|time_mi_time/", "datetime::difference"),
        ("interval_um", "datetime::negate_interval"), ("/datetime_pl|timedate_pl/", "datetime::date_plus_time"),
        ("/interval_mul|mul_d_interval/", "datetime::multiply_interval"), ("interval_div", "datetime::divide_interval"),
        *[(f, f"datetime::{f}") for f in """justify_hours justify_days justify_interval extract date_part
            date_trunc date_bin age make_date make_time make_timestamp make_timestamptz make_interval overlaps""".split()],
        ("isfinite", "datetime::is_finite"), ("timezone", "datetime::at_time_zone"),
        ("to_timestamp(float8)", "datetime::from_epoch"),
        ("to_timestamp(text,text)", "format::to_timestamp"), ("to_date", "format::to_date"),
        ("to_char", "format::to_char"), ("to_number", "format::to_number"),
        ("date", "datetime::to_date"), ("time(timestamp)(timestamptz)(interval)", "datetime::to_time"),
        ("interval(time)", "datetime::time_to_interval"),
        ("timestamp(date)(date,time)(timestamptz)", "datetime::to_timestamp"),
        ("timestamptz(date)(date,time)(timestamp)", "datetime::to_timestamptz"),
    ],
    "cast": [
        ("int2", "cast::to_int2"), ("int4", "cast::to_int4"), ("int8", "cast::to_int8"), ("oid", "cast::to_oid"),
        ("float4", "cast::to_float4"), ("float8", "cast::to_float8"), ("numeric", "cast::to_numeric"),
        ("bool", "cast::to_bool"), ("text(bool)(char)(name)(bpchar)", "cast::to_text"),
        ("varchar(name)", "cast::to_text"), ("name", "cast::to_name"), ("char", "cast::to_char1"),
        ("varchar(varchar,int4,bool)", "cast::varchar"), ("bpchar", "cast::bpchar"),
        ("time(time,int4)", "cast::time"), ("timestamp(timestamp,int4)", "cast::timestamp"),
        ("timestamptz(timestamptz,int4)", "cast::timestamptz"), ("interval(interval,int4)", "cast::interval"),
    ],
    "array": [
        ("array_append", "array::append"), ("array_prepend", "array::prepend"), ("array_cat", "array::concat"),
        ("array_length", "array::length"), ("array_lower", "array::lower"), ("array_upper", "array::upper"),
        ("array_ndims", "array::dimensions"), ("array_dims", "array::bounds_text"), ("cardinality", "array::cardinality"),
        ("array_position", "array::position"), ("array_positions", "array::positions"), ("array_remove", "array::remove"),
        ("array_replace", "array::replace"), ("array_fill", "array::fill"), ("arraycontains", "array::contains"),
        ("arraycontained", "array::contained"), ("arrayoverlap", "array::overlap"), ("trim_array", "array::trim"),
        ("unnest", "array::unnest"), ("generate_subscripts", "array::subscripts"),
        ("generate_series(int4,int4)(int4,int4,int4)(int8,int8)(int8,int8,int8)", "set::series_integer"),
        ("generate_series(numeric,numeric)(numeric,numeric,numeric)", "set::series_numeric"),
        ("generate_series(timestamp,timestamp,interval)(timestamptz,timestamptz,interval)", "set::series_timestamp"),
    ],
    "json": [
        ("/jsonb_object_field|jsonb_array_element/", "json::jsonb_field"),
        ("/jsonb_object_field_text|jsonb_array_element_text/", "json::jsonb_field_text"),
        ("/json_object_field|json_array_element/", "json::json_field"),
        ("/json_object_field_text|json_array_element_text/", "json::json_field_text"),
        ("jsonb_extract_path", "json::jsonb_path"), ("jsonb_extract_path_text", "json::jsonb_path_text"),
        ("json_extract_path", "json::json_path"), ("json_extract_path_text", "json::json_path_text"),
        ("jsonb_contains", "json::contains"), ("jsonb_contained", "json::contained"), ("jsonb_exists", "json::exists"),
        ("jsonb_exists_any", "json::exists_any"), ("jsonb_exists_all", "json::exists_all"),
        ("/jsonb?_typeof/", "json::type_of"), ("/jsonb?_array_length/", "json::array_length"),
        ("jsonb_concat", "json::concat"), ("jsonb_delete", "json::delete"), ("jsonb_delete_path", "json::delete_path"),
        ("jsonb_set", "json::set"), ("jsonb_set_lax", "json::set_lax"), ("jsonb_insert", "json::insert"),
        ("jsonb_pretty", "json::pretty"), ("to_jsonb", "json::to_jsonb"),
        ("/to_json|array_to_json(anyarray)|row_to_json(record)/", "json::to_json"),
        ("array_to_json(anyarray)", "json::to_json"), ("row_to_json(record)", "json::to_json"),
        *[(f, f"json::{f}") for f in """jsonb_strip_nulls json_strip_nulls jsonb_build_array json_build_array
            jsonb_build_object json_build_object jsonb_object json_object jsonb_object_keys json_object_keys
            jsonb_each jsonb_each_text json_each json_each_text jsonb_array_elements jsonb_array_elements_text
            json_array_elements json_array_elements_text""".split()],
    ],
    "aggregate": [
        *[(f, f"aggregate::{f}") for f in "count sum avg min max bool_and bool_or bit_and bit_or bit_xor".split()],
        ("every", "aggregate::bool_and"),
        ("/stddev|stddev_samp/", "statistics::stddev_samp"), ("/variance|var_samp/", "statistics::var_samp"),
        *[(f, f"statistics::{f}") for f in """stddev_pop var_pop corr covar_pop covar_samp regr_avgx regr_avgy
            regr_sxx regr_syy regr_sxy regr_slope regr_intercept regr_r2 percentile_cont percentile_disc mode""".split()],
        ("regr_count", "aggregate::count"),
        *[(f, f"collection::{f}") for f in """array_agg string_agg jsonb_agg json_agg jsonb_object_agg
            json_object_agg""".split()],
        *[(f, f"window::{f}") for f in """row_number rank dense_rank percent_rank cume_dist ntile lag lead
            first_value last_value nth_value""".split()],
    ],
    "system": [
        *[(f, f"system::{f}") for f in """version current_database current_user session_user current_schema
            current_schemas current_setting set_config nextval currval lastval setval pg_advisory_lock
            pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all
            pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock
            pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
            pg_cancel_backend pg_terminate_backend pg_notify pg_sleep pg_sleep_for
            pg_postmaster_start_time pg_conf_load_time pg_reload_conf inet_client_addr inet_client_port
            inet_server_addr inet_server_port pg_current_wal_lsn pg_export_snapshot pg_my_temp_schema
            pg_blocking_pids""".split()],
        ("pg_backend_pid", "system::backend_pid"), ("pg_typeof", "system::type_of"),
        ("txid_current", "system::transaction_id"), ("pg_is_in_recovery", "system::is_in_recovery"),
        ("pg_column_size", "system::column_size"),
    ],
}

# Functions of ours that are told the types of their arguments.
TYPED = {"string::concat_any", "string::concat_all", "string::concat_ws", "string::quote_literal", "string::quote_nullable",
         "string::format", "string::array_to_string", "array::fill", "json::to_jsonb", "json::to_json", "json::jsonb_build_array",
         "json::json_build_array", "json::jsonb_build_object", "json::json_build_object", "system::type_of"}
# Aggregates whose transition function sees NULLs.
NULLS = {"array_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "string_agg"}


def query(sql):
    out = subprocess.run(["psql", sys.argv[1], "-XqAt", "-F", "\t", "-c", sql], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in out.stdout.splitlines()]


def matches(pattern, name, args):
    if pattern.startswith("/"):
        body, _, signatures = pattern[1:].rpartition("/")
        named = re.fullmatch(body, name)
    else:
        body, paren, rest = pattern.partition("(")
        named, signatures = body == name, paren + rest
    if not named:
        return False
    wanted = re.findall(r"\(([^)]*)\)", signatures)
    return not wanted or args in wanted


def main():
    names = "','".join(SUPPORTED + ["_" + t for t in SUPPORTED])
    ok = f"(select oid from pg_type where typname in ('{names}') and typnamespace = 11)"
    rows = query(f"""
        select p.oid, p.proname, p.prokind, p.proisstrict, p.provolatile, p.proretset, p.provariadic,
               p.prorettype, coalesce(array_to_string(array(select t.typname from unnest(p.proargtypes) with ordinality a(o, i)
                   join pg_type t on t.oid = a.o order by i), ','), ''),
               array_to_string(p.proargtypes::oid[], ','),
               coalesce(pg_get_expr(p.proargdefaults, 0), ''),
               coalesce(array_to_string(array(select n || ':' || o from unnest(p.proargnames, p.proallargtypes, p.proargmodes) x(n, o, m) where m = 'o'), ','), '')
        from pg_proc p where p.pronamespace = 11
          and (p.prorettype in {ok} or p.proname ~ '^(inet_|pg_current_wal|json_each|jsonb_each)' or p.prorettype = 3220)
          and not exists (select 1 from unnest(p.proargtypes) t where t not in {ok})
        order by p.oid""")
    taken = set()
    constants = []
    for topic, entries in TOPICS.items():
        lines = []
        for oid, name, kind, strict, volatile, retset, variadic, result, args, arg_oids, defaults, columns in rows:
            path = next((p for pattern, p in entries if matches(pattern, name, args)), None)
            # Hypothetical-set aggregates share the names of window functions.
            if path is None or oid in taken or (kind == "a" and path.startswith("window::")):
                continue
            taken.add(oid)
            if kind == "a":
                how = "Aggregate"
                strict = "f" if name in NULLS or (name == "count" and not args) else "t"
            elif kind == "w":
                how = "Window"
            elif retset == "t":
                how = "Set"
            else:
                how = "Typed" if path in TYPED else "Scalar"
            volatility = {"i": "Immutable", "s": "Stable", "v": "Volatile"}[volatile]
            default_list = split_defaults(defaults)
            column_list = [c.rsplit(":", 1) for c in columns.split(",") if c]
            lines.append(
                f'    row({oid}, "{name}", &[{arg_oids.replace(",", ", ")}], {result}, {"true" if strict == "t" else "false"}, '
                f'Volatility::{volatility}, Implementation::{how}({path}))'
                + (f".variadic()" if variadic != "0" else "")
                + (f".with_defaults(&[{', '.join(chr(34) + d.replace(chr(34), chr(92) + chr(34)) + chr(34) for d in default_list)}])" if default_list else "")
                + (f".with_columns(&[{', '.join(f'({chr(34)}{n}{chr(34)}, {o})' for n, o in column_list)}])" if column_list else "")
                + ","
            )
        modules = sorted({p.split("::")[0] for _, p in entries})
        text = (f"//! Functions of PostgreSQL's catalog: {topic}. Written by `generate.py`.\n\n"
                "use super::row;\n"
                f"use crate::function::{{FunctionDef, Implementation, Volatility, {', '.join(modules)}}};\n\n"
                "#[rustfmt::skip]\npub(super) const FUNCTIONS: &[FunctionDef] = &[\n" + "\n".join(lines) + "\n];\n")
        if "Volatility::" not in text:
            raise SystemExit(topic)
        (HERE / "table" / f"{topic}.rs").write_text(text)
        constants.append(topic)
        print(topic, len(lines))
    operators = query(f"select o.oid, o.oprname, o.oprleft, o.oprright, o.oprresult, o.oprcode::oid from pg_operator o where oprcode <> 0 order by 2, 3, 4")
    lines = [f'    operator({o[0]}, "{o[1]}", {", ".join(o[2:])}),' for o in operators if o[5] in taken]
    (HERE / "table" / "operator.rs").write_text(
        "//! Operators of PostgreSQL's catalog. Written by `generate.py`.\n\nuse super::operator;\nuse crate::function::OperatorDef;\n\n"
        "#[rustfmt::skip]\npub(super) const OPERATORS: &[OperatorDef] = &[\n" + "\n".join(lines) + "\n];\n")
    print("operators", len(lines))
    casts = query(f"select castsource, casttarget, castcontext, castmethod, castfunc from pg_cast where castsource in {ok} and casttarget in {ok} order by 1, 2")
    lines = []
    for source, target, context, method, function in casts:
        if method == "f" and function not in taken:
            continue
        how = {"f": f"CastMethod::Function({function})", "b": "CastMethod::Binary", "i": "CastMethod::InOut"}[method]
        when = {"e": "Explicit", "a": "Assignment", "i": "Implicit"}[context]
        lines.append(f"    cast({source}, {target}, CastContext::{when}, {how}),")
    (HERE / "table" / "cast_list.rs").write_text(
        "//! Casts of PostgreSQL's catalog. Written by `generate.py`.\n\nuse super::cast;\nuse crate::function::{CastContext, CastDef, CastMethod};\n\n"
        "#[rustfmt::skip]\npub(super) const CASTS: &[CastDef] = &[\n" + "\n".join(lines) + "\n];\n")
    print("casts", len(lines))


def split_defaults(text):
    """The expressions of pg_get_expr's list; commas inside quotes or braces do not split."""
    out, depth, quoted, current = [], 0, False, ""
    for c in text:
        if c == "'":
            quoted = not quoted
        if c == "," and not quoted and depth == 0:
            out.append(current.strip())
            current = ""
            continue
        depth += (c in "([") - (c in ")]") if not quoted else 0
        current += c
    return out + [current.strip()] if current.strip() else out


main()
