-- SPDX-License-Identifier: Apache-2.0
-- Give the lease back if it is still ours, so that the next router need not wait for it to expire.
--
-- KEYS[1] lease  hash
-- ARGV    holder, epoch
-- Reply   1 when given back, else 0

if not lease_is_held_by(KEYS[1], ARGV[1], ARGV[2]) then return 0 end
return redis.call('DEL', KEYS[1])
