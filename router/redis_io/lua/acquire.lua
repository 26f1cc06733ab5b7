-- SPDX-License-Identifier: Apache-2.0
-- Take the lease, or say who holds it.
--
-- KEYS[1] lease  hash    written, expires
-- KEYS[2] epoch  hash    {epoch, ...} written, never expires
-- ARGV    holder, ttl_ms, release
-- Reply   {1, epoch} when taken, {0, holder} when another router holds it
--
-- The same holder retakes its own lease at once, with a higher epoch that fences whatever is left of it. A lease that
-- claims to live longer than its own TTL was written before the clock stepped back, and may be taken too.

local held = redis.call('HMGET', KEYS[1], 'holder', 'ttl_ms')
local remaining_ms = redis.call('PTTL', KEYS[1])
if held[1] and held[1] ~= ARGV[1] and remaining_ms >= 0 and remaining_ms <= tonumber(held[2] or 0) then
  return {0, held[1]}
end
local stored = tonumber(redis.call('HGET', KEYS[2], 'epoch') or 0)
local epoch = whole(math.max(stored + 1, now_ms()))
redis.call('HSET', KEYS[2], 'epoch', epoch)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'epoch', epoch, 'ttl_ms', ARGV[2], 'release', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, epoch}
