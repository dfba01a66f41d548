-- Every node closes the streams and sockets of the session because of this event. Feeds do not contain it.
create or replace function log_session() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  perform log_change('session.ended', user_id => old.user_id, after => jsonb_build_object(
    'sessionId', old.id,
    'reason', case
      when tg_op = 'UPDATE' then coalesce(new.revoked_reason, 'revoked')
      when old.expires_at <= now() then 'expired'
      when exists (select from users where id = old.user_id) then 'revoked'
      else 'account_deleted'
    end
  ));
  return null;
end
$$;

-- Every node reads the user again because of this event. Feeds do not contain it.
create or replace function log_user() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  perform log_change('user.renamed', user_id => new.id);
  return null;
end
$$;
