-- SPDX-License-Identifier: Apache-2.0
-- Extend the lease if it is still ours.
--
-- KEYS[1] lease  hash
-- ARGV    holder, epoch, ttl_ms
-- Reply   1, or 0 when the lease is gone or another's

if not lease_is_held_by(KEYS[1], ARGV[1], ARGV[2]) then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
