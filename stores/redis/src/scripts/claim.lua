-- Nothing is there: the attempt runs. Anything else is returned as it is, and when: but what is done, which the server
-- removes by itself when it expires, without the time.
-- For all keys: the lease in microseconds; the ttl (8 bytes) and the retention in milliseconds (0: for ever). For each: a
-- record up to the fence, and from the lengths on.
local lease, ttl, retention = argv[1], sub(argv[2], 1, 8), sub(argv[2], 9)
local middle
local function each(key, found, last)
  if found and byte(found, 2) == 3 then
    return found
  end
  local now = now()
  if found then
    return {found, now}
  end
  if not middle then
    local at, ends = pack('>I8', now), now + lease
    ends = ends < 9007199254740992 and pack('>I8', ends) or never
    middle = at .. at .. '\0\0\0\0\0\0\0\0' .. ends .. ttl .. at .. at .. never
      .. (retention == '0' and never or pack('>I8', now + retention * 1000))
  end
  local record = argv[last + 1] .. middle .. argv[last + 2]
  local made
  if retention == '0' then
    made = call('SET', key, record, 'NX')
  else
    made = call('SET', key, record, 'NX', 'PX', retention)
  end
  -- Something is there that is no text: the server says so.
  return made and now or {call('GET', key), now}
end
