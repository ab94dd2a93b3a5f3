-- Nothing is there: the attempt runs. Anything else is returned as it is, and when: but what is done, which the server
-- removes by itself when it expires, without the time.
-- For all keys: the lease in microseconds; the ttl (8 bytes) and the retention in milliseconds (0: for ever). For each: a
-- record up to the fence, and from the lengths on.
local middle, retention
-- Each:
  if not found then
    if not middle then
      local now, ttl = now(), sub(argv[2], 1, 8)
      retention = sub(argv[2], 9)
      local at, ends = pack('>I8', now), now + argv[1]
      ends = ends < 9007199254740992 and pack('>I8', ends) or never
      middle = at .. at .. '\0\0\0\0\0\0\0\0' .. ends .. ttl .. at .. at .. never
        .. (retention == '0' and never or pack('>I8', now + retention * 1000))
    end
    local record, made = argv[last + 1] .. middle .. argv[last + 2], nil
    if retention == '0' then
      made = call('SET', key, record, 'NX')
    else
      made = call('SET', key, record, 'NX', 'PX', retention)
    end
    -- Something is there that is no text: the server says so.
    answer = made and moment or {call('GET', key), moment}
  elseif byte(found, 2) == 3 then
    answer = found
  else
    answer = {found, now()}
  end
