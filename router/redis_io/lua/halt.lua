-- SPDX-License-Identifier: Apache-2.0
-- Halt the router, unless it is halted already: the first reason stays.
--
-- KEYS[1] halt   hash    {reason, who, when} written
-- KEYS[2] audit  stream  written when there is an audit
-- ARGV    reason, who, entries that the audit keeps ('' = no audit)
-- Reply   {1 when halted now or 0 when it was, reason, who, when}

local now = whole(now_ms())
if redis.call('EXISTS', KEYS[1]) == 1 then
  local halted = redis.pcall('HMGET', KEYS[1], 'reason', 'who', 'when')
  return {0, halted[1] or '', halted[2] or '', halted[3] or ''}
end
redis.call('HSET', KEYS[1], 'reason', ARGV[1], 'who', ARGV[2], 'when', now)
if ARGV[3] ~= '' then
  -- An audit that cannot be written is told by the next commit; it must not keep a person from this.
  redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'event', 'HALT', 'reason', ARGV[1], 'who', ARGV[2])
end
return {1, ARGV[1], ARGV[2], now}
