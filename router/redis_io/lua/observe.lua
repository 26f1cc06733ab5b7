-- SPDX-License-Identifier: Apache-2.0
-- Read what a decision is made on, in one instant: time, trading state, intents in flight, open orders, intents of the
-- last hour; and how far behind we are.
--
-- KEYS[1] kill         string  read
-- KEYS[2] halt         hash    {reason, who} read
-- KEYS[3] open_orders  string  read
-- KEYS[4] inflight     set     of intent ids; only who holds the lease may forget those that execution has dealt with
-- KEYS[5] intents      stream  its execution group is read
-- KEYS[6] signals      stream  our group is read
-- KEYS[7] recent       zset    read with a limit per hour
-- ARGV    execution group, in-flight TTL in ms, our group, '1' with a limit per hour, '1' to forget
-- Reply   {time_ms, state, key that says so, in_flight, open_orders or nil, our lag or nil, pending or nil, execution's lag
--         or nil, pending or nil, intents of the hour, reason and who of a halt of ours ('' when it says none)}; an error
--         when a key is of another type
--
-- An intent is in flight until execution acknowledges it. One that was delivered falls out after the TTL; one that was
-- never delivered stays unless it was trimmed away. Without an execution group nothing is in flight.

local function is_dealt_with(id, group)
  local ms, seq = id_parts(id)
  if not ms or ms >= BEYOND or seq >= BEYOND then return true end -- no commit of ours has noted that
  if id_after(id, group['last-delivered-id']) then
    return #redis.call('XRANGE', KEYS[5], id, id) == 0
  end
  local pending = redis.call('XPENDING', KEYS[5], ARGV[1], id, id, 1)
  return #pending == 0 or pending[1][3] >= tonumber(ARGV[2])
end

local function count_in_flight(group)
  local ids = redis.call('SMEMBERS', KEYS[4])
  if #ids == 0 then return 0 end
  local in_flight = 0
  for _, id in ipairs(ids) do
    if group and not is_dealt_with(id, group) then
      in_flight = in_flight + 1
    elseif ARGV[5] == '1' then
      redis.call('SREM', KEYS[4], id)
    end
  end
  return in_flight
end

local limited = ARGV[4] == '1'
local wrong = wrong_type({
  [KEYS[4]] = 'set', [KEYS[5]] = 'stream', [KEYS[6]] = 'stream', [KEYS[7]] = limited and 'zset' or nil,
})
if wrong then return redis.error_reply(wrong) end
local state, said_by = trading_state(KEYS[1], KEYS[2])
local halt = said_by == KEYS[2] and redis.pcall('HMGET', KEYS[2], 'reason', 'who') or {}
local ours = group_of(KEYS[6], ARGV[3]) or {}
local execution = group_of(KEYS[5], ARGV[1])
local hour = limited and intents_of_the_hour(KEYS[7]) or 0
return {
  whole(now_ms()), state, said_by, count_in_flight(execution), text_of(KEYS[3]), ours['lag'] or false,
  ours['pending'] or false, execution and execution['lag'] or false, execution and execution['pending'] or false, hour,
  halt[1] or '', halt[2] or '',
}
