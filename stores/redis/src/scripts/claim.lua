-- Nothing is there: the attempt runs. Anything else is returned as it is, and when: but what is done, which the server
-- removes by itself when it expires, without the time.
-- For all keys: the lease in microseconds, the retention in milliseconds (0: for ever). For each: `record` is one without
-- fence, generation, lease and moments.
local lease, retention = ARGV[1], ARGV[2]
local stamps, moments
local function each(key, found, record)
  if found and byte(found, 2) == 3 then
    return found
  end
  local now = now()
  if found then
    return {found, now}
  end
  if not stamps then
    local at, ends = pack('>I8', now), now + lease
    ends = ends < 9007199254740992 and pack('>I8', ends) or never
    stamps = at .. at .. '\0\0\0\0\0\0\0\0' .. ends
    moments = at .. at .. never .. (retention == '0' and never or pack('>I8', now + retention * 1000))
  end
  record = sub(record, 1, 28) .. stamps .. sub(record, 29, 36) .. moments .. sub(record, 37)
  local made
  if retention == '0' then
    made = call('SET', key, record, 'NX')
  else
    made = call('SET', key, record, 'NX', 'PX', retention)
  end
  -- Something is there that is no text: the server says so.
  return made and now or {call('GET', key), now}
end
