-- SPDX-License-Identifier: Apache-2.0
-- Extend the lease if it is still ours.
--
-- KEYS[1] lease  hash
-- ARGV    holder, epoch, ttl_ms
-- Reply   Redis' time in ms, or nil when the lease is gone or another's

if not lease_is_held_by(KEYS[1], ARGV[1], ARGV[2]) then return nil end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return whole(now_ms())
