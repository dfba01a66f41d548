-- Functions of an earlier version.
drop function if exists
  record_results(jsonb, jsonb[], jsonb),
  written_by_operation(),
  revs_by_operation(bigint, jsonb),
  with_rev(jsonb, jsonb),
  returned_result(jsonb, text, jsonb, jsonb, jsonb);

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

-- Stores the results of the operations that this statement decided, and returns {pos, results} as described at
-- apply_operations.
create or replace function record_results(batch jsonb, decisions jsonb[]) returns jsonb
language plpgsql
as $$
declare
  this constant xid8 := pg_current_xact_id_if_assigned();
  -- what each operation has written
  writers uuid[];
  written jsonb[];
  numbered record;
  last_pos bigint;
  -- the last revision of each operation
  revised uuid[];
  revs bigint[];
  decision jsonb;
  op_key uuid;
  rev bigint;
  -- the stored rows
  op_ids uuid[] := '{}';
  lists uuid[] := '{}';
  digests text[] := '{}';
  results jsonb[] := '{}';
begin
  -- The sizes are computed before the commit lock is taken, so that no other transaction waits for this work. The length
  -- of the text counts, because it is sent uncompressed; the stored text may be compressed.
  select array_agg(op_id), array_agg(jsonb_build_object('events', events, 'bytes', bytes)) into writers, written
  from (
    select
      op_id, count(*) as events,
      sum(coalesce(octet_length(before::text), 0) + coalesce(octet_length(after::text), 0)) as bytes
    from pending_events
    where xact = this
    group by op_id
  ) as by_operation;
  if writers is not null then
    numbered := number_pending(this);
    last_pos := numbered.last_pos;
    revised := numbered.op_ids;
    revs := numbered.revs;
  end if;

  for n in 1 .. coalesce(array_length(decisions, 1), 0) loop
    decision := decisions[n];
    if decision ->> 'outcome' = 'rejected' or not decision ? 'outcome' then
      continue;
    end if;
    op_key := (batch #>> array[(n - 1)::text, 'op', 'opId'])::uuid;
    rev := revs[array_position(revised, op_key)];
    if decision ? 'duplicate' then
      if op_key = any (op_ids) then
        decisions[n] := with_rev(decision, rev);
      end if;
      continue;
    end if;
    decision := with_rev(decision, rev);
    op_ids := op_ids || op_key;
    lists := lists || (batch #>> array[(n - 1)::text, 'list'])::uuid;
    digests := digests || (batch #>> array[(n - 1)::text, 'digest']);
    results := results || decision;
    -- The node has sent the merged text, so it is not returned.
    decisions[n] := decision - 'value' - 'parts';
    if rev is not null then
      decisions[n] := decisions[n] || jsonb_build_object('wrote', written[array_position(writers, op_key)]);
    end if;
  end loop;
  if op_ids <> '{}' then
    insert into operations (checklist_id, op_id, digest, result)
    select * from unnest(lists, op_ids, digests, results);
  end if;
  return jsonb_build_object('pos', last_pos, 'results', to_jsonb(decisions));
end
$$;

-- When the operation wrote no event, an outcome `applied` or `merged` becomes `noop`.
create or replace function with_rev(result jsonb, rev bigint) returns jsonb
language sql stable
as $$
  select case
    when rev is not null then result || jsonb_build_object('rev', rev)
    when result ->> 'outcome' in ('applied', 'merged') then (result || '{"outcome": "noop"}') - 'value' - 'parts'
    else result
  end
$$;
