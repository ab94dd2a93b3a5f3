-- The record as it is, and when. KEYS: the record.
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]), now[1] * 1000000 + now[2]}
