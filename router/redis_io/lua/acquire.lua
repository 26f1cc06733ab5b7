-- SPDX-License-Identifier: Apache-2.0
-- Take the lease, or say who holds it.
--
-- KEYS[1] lease  hash    written, expires
-- KEYS[2] epoch  hash    {epoch, ...} written, never expires
-- ARGV    holder, ttl_ms, release
-- Reply   {1, epoch} when taken, {0, holder} when another router holds it; an error when a key holds what is not ours
--
-- The same holder retakes its own lease at once, with a higher epoch that fences whatever is left of it. A lease that
-- claims to live longer than its own TTL was written before the clock stepped back, and may be taken too.

local wrong = wrong_type({[KEYS[1]] = 'hash', [KEYS[2]] = 'hash'})
if wrong then return redis.error_reply(wrong) end
local held = redis.call('HMGET', KEYS[1], 'holder', 'ttl_ms')
local ttl_ms = whole_below(held[2])
if not ttl_ms then
  return redis.error_reply(KEYS[1] .. ' ttl_ms is ' .. quoted(held[2]) .. ', no time: it is taken when it expires, or DEL ' .. KEYS[1])
end
local remaining_ms = redis.call('PTTL', KEYS[1])
if held[1] and held[1] ~= ARGV[1] and remaining_ms >= 0 and remaining_ms <= ttl_ms then
  return {0, held[1]}
end
local text = redis.call('HGET', KEYS[2], 'epoch')
local stored = whole_below(text)
if not stored then -- one that adding 1 does not change would fence nobody
  return redis.error_reply(KEYS[2] .. ' epoch is ' .. quoted(text) .. ', no epoch: HDEL ' .. KEYS[2] .. ' epoch while no router runs')
end
local epoch = whole(math.max(stored + 1, now_ms()))
redis.call('HSET', KEYS[2], 'epoch', epoch)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'epoch', epoch, 'ttl_ms', ARGV[2], 'release', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, epoch}
