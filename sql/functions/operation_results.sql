create or replace function outcome(
  outcome text, code text default null, "conflictId" uuid default null,
  value jsonb default null, parts jsonb default null
)
returns jsonb
language sql stable
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'outcome', outcome, 'code', code, 'conflictId', "conflictId", 'value', value, 'parts', parts
  ))
$$;

create or replace function rejected(code text) returns jsonb
language sql stable
as $$ select outcome('rejected', code) $$;

create or replace function merged(merge jsonb) returns jsonb
language sql stable
as $$ select outcome('merged', value => merge -> 'value', parts => merge -> 'parts') $$;

-- Returns {pos, results} as described at apply_operations.
create or replace function record_results(batch jsonb, decisions jsonb[], decided jsonb) returns jsonb
language plpgsql
as $$
declare
  written jsonb := '{}';
  revs jsonb := '{}';
  last_pos bigint;
begin
  if decided <> '{}' then
    -- The sizes are computed before the commit lock is taken, so that no other transaction waits for this work.
    written := written_by_operation();
    if written <> '{}' then
      set constraints number_events immediate;
      last_pos := currval('events_pos');
      revs := revs_by_operation(last_pos, written);
    end if;
    insert into operations (checklist_id, op_id, digest, result)
    select
      (value ->> 'list')::uuid, key::uuid, value ->> 'digest', with_rev(value -> 'result', revs -> key)
    from jsonb_each(decided);
  end if;

  return jsonb_build_object('pos', last_pos, 'results', coalesce(
    (
      select jsonb_agg(returned_result(decision, op_key, decided, revs -> op_key, written -> op_key) order by n)
      from unnest(decisions) with ordinality as entry (decision, n),
      lateral (select batch #>> array[(n - 1)::text, 'op', 'opId'] as op_key) as operation
    ),
    '[]'
  ));
end
$$;

create or replace function written_by_operation() returns jsonb
language plpgsql stable
as $$
begin
  return (
    select coalesce(jsonb_object_agg(op_id, jsonb_build_object('events', events, 'bytes', bytes)), '{}')
    from (
      -- The length of the text counts, because it is sent uncompressed; the stored text may be compressed.
      select
        op_id, count(*) as events,
        sum(coalesce(octet_length(before::text), 0) + coalesce(octet_length(after::text), 0)) as bytes
      from pending_events
      where xact = pg_current_xact_id_if_assigned()
      group by op_id
    ) as by_operation
  );
end
$$;

-- `last_pos` is the position of the last event of this transaction.
create or replace function revs_by_operation(last_pos bigint, written jsonb) returns jsonb
language plpgsql stable
as $$
declare
  first_pos constant bigint := last_pos + 1 - (select sum((value ->> 'events')::bigint) from jsonb_each(written));
begin
  return (
    select jsonb_object_agg(op_id, rev)
    from (
      select op_id, max(rev) as rev
      from events
      -- With `between` the plan uses the index. For `pos >= first_pos`, a generic plan would expect a third of the
      -- table.
      where pos between first_pos and last_pos
      group by op_id
    ) as by_operation
  );
end
$$;

-- When the operation wrote no event, an outcome `applied` or `merged` becomes `noop`.
create or replace function with_rev(result jsonb, rev jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  return case
    when rev is not null then result || jsonb_build_object('rev', rev)
    when result ->> 'outcome' in ('applied', 'merged') then (result || '{"outcome": "noop"}') - 'value' - 'parts'
    else result
  end;
end
$$;

-- A result that this statement decided also has `rev`, and `wrote` with the number of written events and bytes.
create or replace function returned_result(
  decision jsonb, op_key text, decided jsonb, rev jsonb, wrote jsonb
) returns jsonb
language plpgsql immutable
as $$
begin
  return case
    when coalesce(decision ->> 'outcome', 'rejected') = 'rejected' or not decided ? op_key then decision
    when decision ? 'duplicate' then with_rev(decision, rev)
    else with_rev(decision, rev) - 'value' - 'parts' || jsonb_strip_nulls(jsonb_build_object('wrote', wrote))
  end;
end
$$;
