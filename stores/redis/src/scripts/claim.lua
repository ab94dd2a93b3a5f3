-- Nothing is there: the attempt runs. Anything else is returned as it is, and when: but what is done, which the server
-- removes by itself when it expires, without the time.
-- `record` is one without fence, generation, lease and moments, the lease is in microseconds, the retention in
-- milliseconds (0: for ever).
local function each(key, found, record, lease, retention)
  if found and byte(found, 2) == 3 then
    return found
  end
  local now = now()
  if found then
    return {found, now}
  end
  local at = pack('>I8', now)
  local ends = now + lease
  ends = ends < 9007199254740992 and pack('>I8', ends) or never
  local head = sub(record, 1, 28) .. at .. at .. '\0\0\0\0\0\0\0\0' .. ends .. sub(record, 29, 36) .. at .. at .. never
  local made
  if retention == '0' then
    made = call('SET', key, head .. never .. sub(record, 37), 'NX')
  else
    made = call('SET', key, head .. pack('>I8', now + retention * 1000) .. sub(record, 37), 'NX', 'PX', retention)
  end
  -- Something is there that is no text: the server says so.
  return made and now or {call('GET', key), now}
end
