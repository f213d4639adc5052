// The table of differences.mjs for the cases of storage_cases.mjs, in the same form.
export const storageDifferences = {
  'storage kv: keys of every kind': [
    'lone surrogates in keys become U+FFFD, as USVString of Web IDL says; workerd keeps them as bytes that are no UTF-8, and reads them back as three U+FFFD',
    {"value":{"value":[[["",0],["\u0000",1],[" ",1],["a",1],["a\u0000",2],["a\u0000b",3],["a",2],["a",2],["<3000 chars, xxxxx…>",3000],["é",1],["�",1],["�x",2],["￿",1],["𐀀",2],["􏿿",2],["􏿿z",3]],[["a\u0000",2],["a\u0000b",3]],[["a\u0000",2],["a\u0000b",3],["a",2],["a",2],["<3000 chars, xxxxx…>",3000],["é",1],["�",1],["�x",2],["￿",1],["𐀀",2],["􏿿",2],["􏿿z",3]],[["a\u0000b",3],["a",2],["a",2],["<3000 chars, xxxxx…>",3000],["é",1],["�",1],["�x",2],["￿",1],["𐀀",2],["􏿿",2],["􏿿z",3]],[["􏿿",2],["􏿿z",3]],[["a",2]],[["�",1],["�x",2]],[["\u0000",1]],[["",0],["\u0000",1],[" ",1]],[["􏿿z",3],["􏿿",2],["𐀀",2],["￿",1]],[1,1,0,true,true],{"map":[["a",1],["a\u0000",2],["é",1],["￿",1],["𐀀",2]]}]}},
  ],
  'storage kv: values that cannot be stored': [
    'instances of all runtime classes are refused; workerd stores Headers, Request and Blob. A SharedArrayBuffer, which is memory and no value, is refused as well',
    {"value":{"value":[["!DataCloneError: () => 1 could not be cloned.","!DataCloneError: function named() {} could not be cloned.","!DataCloneError: class Cls {} could not be cloned.","!DataCloneError: async () => {} could not be cloned.","!DataCloneError: Symbol(s) could not be cloned.","!DataCloneError: f() {} could not be cloned.","!DataCloneError: Symbol(in) could not be cloned.","!DataCloneError: #<WeakMap> could not be cloned.","!DataCloneError: #<WeakSet> could not be cloned.","!DataCloneError: #<WeakRef> could not be cloned.","!DataCloneError: #<Promise> could not be cloned.","!DataCloneError: #<Object> could not be cloned.","!DataCloneError: () => {} could not be cloned.","!DataCloneError: #<Object> could not be cloned.","stored","stored","!DataCloneError: () => 1 could not be cloned.","!DataCloneError: () => 1 could not be cloned.","!DataCloneError: Symbol(x) could not be cloned.","!DataCloneError: [object Generator] could not be cloned.","!RangeError: getter","!DataCloneError: Could not serialize object of type \"Headers\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"URL\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"URLSearchParams\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"Response\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"Request\". This type does not support serialization.","!DataCloneError: ReadableStream can only be serialized for RPC.","!DataCloneError: Could not serialize object of type \"AbortSignal\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"Blob\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"TextEncoder\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"Event\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"FormData\". This type does not support serialization.","stored","!DataCloneError: Could not serialize object of type \"DurableObjectStorage\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"SqlStorage\". This type does not support serialization.","!DataCloneError: Could not serialize object of type \"SyncKvStorage\". This type does not support serialization.","!DataCloneError: #<SharedArrayBuffer> could not be cloned.","stored","!DataCloneError: #<NumberFormat> could not be cloned.","stored","!DataCloneError: [object Array Iterator] could not be cloned.","!DataCloneError: [object Map Iterator] could not be cloned.","!DataCloneError: toJSON() { return 1; } could not be cloned."],["first","v"]]}},
  ],
  'storage kv: order of settling': [
    'get() and put() settle with the call, one microtask earlier than in workerd',
    {"value":{"value":["put","get","microtask","list","delete","sync"]}},
  ],
  'storage kv: a value beyond 2 MiB': [
    'the limit that Cloudflare documents for key and value together; workerd has none of its own',
    {"value":{"value":[["!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG"],[]]}},
  ],
  'storage kv: a value beyond 4 MiB': [
    'the limit that Cloudflare documents for key and value together; workerd has none of its own',
    {"value":{"value":[["!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG"],[]]}},
  ],
  'storage kv: 129 keys in a call': [
    'the limit that Cloudflare documents; workerd has none of its own',
    {"value":{"value":["!RangeError: Maximum number of pairs is 128.",0,"!RangeError: Maximum number of keys is 128.","!RangeError: Maximum number of keys is 128."]}},
  ],
  'storage: names and shapes': [
    'sql and kv are accessors of the prototype until they are looked at: an instance that never touches them does not pay for them',
    {"value":{"value":["[object DurableObjectStorage]","DurableObjectStorage",[],["constructor","delete","deleteAlarm","deleteAll","get","getAlarm","getBookmarkForTime","getCurrentBookmark","kv","list","onNextSessionRestoreBookmark","put","setAlarm","sql","sync","transaction","transactionSync"],"[object SqlStorage]",["Cursor","Statement","constructor","databaseSize","exec"],[],"[object SyncKvStorage]",["constructor","delete","get","list","put"],["sql","kv"],true,true]}},
  ],
  'storage: wrong receivers': [
    "V8's text for a private member: the class is the same",
    {"value":{"value":["!TypeError: Cannot read private member #instance from an object whose class did not declare it","!TypeError: Cannot read private member #instance from an object whose class did not declare it","!TypeError: Receiver must be an instance of class anonymous","!TypeError: Cannot read private member #position from an object whose class did not declare it","!TypeError: Illegal constructor","!TypeError: Illegal constructor","!TypeError: Illegal constructor","!TypeError: Illegal constructor","!TypeError: Illegal constructor","function",true,"!TypeError: Cannot read private member #instance from an object whose class did not declare it"]}},
  ],
  'storage deleteAll: list iterators': [
    'workerd has an internal error here; a cursor of SQL answers the same',
    {"value":{"value":[{"done":false,"value":["a",1]},"!Error: SQLite query was canceled because the database was deleted.","!Error: SQLite query was canceled because the database was deleted.",[]]}},
  ],
  'storage deleteAll: in a transaction': [
    'in transactionSync() workerd has an internal error and loses what was stored; we refuse as in transaction()',
    {"value":{"value":["!Error: Cannot call deleteAll() within a transaction","!Error: Cannot call deleteAll() within a transaction","!Error: Cannot call deleteAll() within a transaction",1,1,"<undefined>","!TypeError: Failed to execute 'deleteAll' on 'DurableObjectStorage': parameter 1 is not of type 'PutOptions'.","<undefined>"]}},
  ],
  'storage.kv: arguments': [
    'the last of them: 2 MiB for key and value together, as Cloudflare documents',
    {"value":{"value":["!TypeError: Failed to execute 'get' on 'SyncKvStorage': parameter 1 is not of type 'string'.","<undefined>","<undefined>","<undefined>","<undefined>","<undefined>","!TypeError: Failed to execute 'put' on 'SyncKvStorage': parameter 1 is not of type 'string'.","!TypeError: Failed to execute 'put' on 'SyncKvStorage': parameter 2 is not of type 'Value'.","<undefined>","<undefined>",null,"<undefined>","!TypeError: Failed to execute 'put' on 'SyncKvStorage': parameter 2 is not of type 'Value'.","<undefined>",2,"<undefined>","five","<undefined>","!TypeError: Failed to execute 'delete' on 'SyncKvStorage': parameter 1 is not of type 'string'.",true,true,false,false,"!TypeError: Cannot convert a Symbol value to a string","!TypeError: Failed to execute 'list' on 'SyncKvStorage': parameter 1 is not of type 'ListOptions'.","!TypeError: Failed to execute 'list' on 'SyncKvStorage': parameter 1 is not of type 'ListOptions'.",{"<prototype>":"ListIterator"},3,"!TypeError: List limit must be positive.","!TypeError: list() cannot be called with both start and startAfter values.",1,"!DataCloneError: () => 1 could not be cloned.","!Error: string or blob too big: SQLITE_TOOBIG"]}},
  ],
  'storage.kv: gets and async calls do not end a list': [
    'in workerd the asynchronous list() ends a list of the synchronous API as well; ours is read in portions and need not end',
    {"value":{"value":["a","b","c",true]}},
  ],
  'storage.sql: several statements': [
    'in workerd a statement before the last one, when it has further rows, holds its tables locked; ours is reset',
    {"value":{"value":[[[1],[2]],[[3]],"!Error: When executing multiple SQL statements in a single call, only the last statement can have parameters.","!Error: Wrong number of parameter bindings for SQL query.","!Error: Wrong number of parameter bindings for SQL query.","!Error: no such table: nowhere: SQLITE_ERROR","!Error: SQL code did not contain a statement.",[[1]],[[3]],[[1],[2],[3],[5],[6],[7],[8],[9]]]}},
  ],
  'storage.sql: RETURNING before the last statement': [
    'workerd has an internal error here',
    {"value":{"value":[[[2]],[[10],[11]]]}},
  ],
  'storage.sql: bindings': [
    'a lone surrogate is no character: UTF-8 has U+FFFD in its place',
    {"value":{"value":[[[null]],[[null]],"!Error: Wrong number of parameter bindings for SQL query.","!Error: Wrong number of parameter bindings for SQL query.","!Error: Wrong number of parameter bindings for SQL query.",[[1,1,3]],[[3]],"!Error: Wrong number of parameter bindings for SQL query.",[[1,2,3,1]],"!Error: Wrong number of parameter bindings for SQL query.",[[7]],"!Error: variable number must be between ?1 and ?100 at offset 7: SQLITE_ERROR",[[100]],"!Error: Expression tree is too large (maximum depth 100): SQLITE_ERROR",[["text","true"]],[["text","false"]],[["real",5]],[["real","<-0>"]],[["null",null]],[["real","<Infinity>"]],[["real","<-Infinity>"]],[["real",9007199254740992]],[["real",1e+300]],[["text","text"]],[["text",""]],[["text",1,"a\u0000b"]],[["text",1,"EFBFBD"]],[["F09F92A5C3A9"]],[["blob",{"buffer":""}]],[["blob",{"buffer":"1,2,3"}]],[["blob","0203"]],[["blob","01000200"]],[["blob","0000"]],[["blob","0000803F"]],[["text","[object Object]"]],[["text","1,2"]],[["text",""]],[["text","own"]],[["text","() => 1"]],[["text","boxed"]],[["text","5"]],[["text",62]],"!TypeError: Cannot convert a BigInt value to a number","!TypeError: Cannot convert a Symbol value to a string","!TypeError: Cannot convert object to primitive value","!RangeError: no text",[[1]],[],[[10]],[[10]],"!Error: datatype mismatch: SQLITE_MISMATCH","!Error: datatype mismatch: SQLITE_MISMATCH",[["1.02.0"]],[["a1.5"]],[[3.5]],[[7]],"!Error: Wrong number of parameter bindings for SQL query.","!Error: SQL code did not contain a statement.","!Error: SQL code did not contain a statement."]}},
  ],
  'storage.sql cursor: names of columns': [
    'a column called __proto__ is a property like any other; workerd loses it',
    {"value":{"value":[[["a","a","b c","A2"],[[["a",1],["b c",2],["A2",3]]],["a","a","b c","A2"]],[["a","b c","A2","a + 1","count(*)"],[[["a",1],["b c",2],["A2",3],["a + 1",2],["count(*)",1]]],["a","b c","A2","a + 1","count(*)"]],[["","","3"],[[["3",3],["",2]]],["","","3"]],[["2","1","x"],[[["1",2],["2",1],["x",3]]],["2","1","x"]],[["__proto__","constructor","toString"],[[["__proto__",1],["constructor",2],["toString",3]]],["__proto__","constructor","toString"]],[["a","a"],[[["a",1]]],["a","a"]],[["a","b c","A2","a","b c","A2"],[[["a",1],["b c",2],["A2",3]]],["a","b c","A2","a","b c","A2"]],[["(SELECT 1)","1+1","\"a\""],[[["(SELECT 1)",1],["1+1",2],["\"a\"","a"]]],["(SELECT 1)","1+1","\"a\""]],[[],[],[]],[[],[],[]],[["a","q"],[[["a",9],["q",2]],[["a",9],["q",5]]],["a","q"]],[["a"],[],["a"]],[["cid","name","type","notnull","dflt_value","pk"],[[["cid",0],["name","a"],["type",""],["notnull",0],["dflt_value",null],["pk",0]],[["cid",1],["name","b c"],["type",""],["notnull",0],["dflt_value",null],["pk",0]],[["cid",2],["name","A2"],["type",""],["notnull",0],["dflt_value",null],["pk",0]]],["cid","name","type","notnull","dflt_value","pk"]],[[],[],[]],true,[["é💥","a\tb"],[[["é💥",1],["a\tb",2]]],["é💥","a\tb"]]]}},
  ],
  'storage.sql cursor: counters': [
    'rowsRead is an estimate: SQLite as it is released counts steps of full scans, workerd has counters of its own in SQLite',
    {"value":{"value":[[[0,2,0,2],[0,4,0,4],[3,6,3,6],[1,0,6,0],[1,0,1,0],[1,0,1,0],[1,0,2,0],[6,6,6,6],[0,1,0,1],[0,1,0,1],[1,0,1,0],[1,2,1,2],[0,0,0,0],[0,1,0,1],[0,3,0,3]],[[1,0],2,3,4,4,4]]}},
  ],
  'storage.sql cursor: an error ahead': [
    'after the error the cursor has ended; workerd steps the statement again, from its beginning',
    {"value":{"value":[[{"done":false,"value":{"a":1}},"!Error: malformed JSON: SQLITE_ERROR",{"done":true,"value":"<undefined>"},{"done":true,"value":"<undefined>"},{"done":true,"value":"<undefined>"}],"!Error: malformed JSON: SQLITE_ERROR",{"done":false,"value":[1]},"!Error: malformed JSON: SQLITE_ERROR",{"done":true,"value":"<undefined>"},"!Error: malformed JSON: SQLITE_ERROR",true,["a"]]}},
  ],
  'storage.sql: ON CONFLICT ROLLBACK': [
    'workerd has an internal error here; SQLite has rolled back, which was asked for, and the object goes on',
    {"value":{"value":["!Error: UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)",[],[],[[3]]]}},
  ],
  'storage.sql: limits': [
    'texts and blobs end at 4 MiB (Cloudflare documents 2 MB); this workerd lets them grow to 8 MiB',
    {"value":{"value":[[],"!Error: too many columns on wider: SQLITE_ERROR",[],"!Error: too many columns in result set: SQLITE_ERROR","!Error: too many terms in ORDER BY clause: SQLITE_ERROR",[],[[1]],[[1]],[[99]],[[100]],"!Error: Expression tree is too large (maximum depth 100): SQLITE_ERROR","!Error: Expression tree is too large (maximum depth 100): SQLITE_ERROR","!Error: Expression tree is too large (maximum depth 100): SQLITE_ERROR",[[-99]],[[1],[1],[1],[1],[1]],"!Error: too many terms in compound SELECT: SQLITE_ERROR","!Error: too many terms in compound SELECT: SQLITE_ERROR","<array of 500>",[],[[1]],[[1]],"!Error: too many arguments on function max at offset 7: SQLITE_ERROR","!Error: too many arguments on function char at offset 7: SQLITE_ERROR",[[1]],[[1]],"!Error: statement too long: SQLITE_TOOBIG","!Error: statement too long: SQLITE_TOOBIG","!Error: statement too long: SQLITE_TOOBIG",[[0]],"!Error: LIKE or GLOB pattern too complex: SQLITE_ERROR","!Error: LIKE or GLOB pattern too complex: SQLITE_ERROR","!Error: LIKE or GLOB pattern too complex: SQLITE_ERROR",[[1]],[[4194304]],"!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG",[[4194304]],"!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG",[],"!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG",[[100000]],[[100000]],"!Error: string or blob too big: SQLITE_TOOBIG","!Error: string or blob too big: SQLITE_TOOBIG",[[1]],"!Error: at most 64 tables in a join: SQLITE_ERROR",[],[],["<array of 60>"],[[1]],[[1]],[[1]]]}},
  ],
  'storage.sql: depth of triggers': [
    'another version of SQLite words it differently',
    {"value":{"value":[[],[[2]],[[0]],[],"!Error: too many levels of trigger recursion: SQLITE_ERROR",[[13]],[],[[19]]]}},
  ],
  'storage.sql: deferred constraints in transaction()': [
    'workerd has an internal error here; the object is reset as at the end of a turn',
    {"value":[{"error":{"name":"Error","message":"Durable Object was reset and rolled back to its last known good state because the application left the database in a state where constraints were violated: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)","durableObjectReset":true}},{"value":[[]]}]},
  ],
  'storage.transactionSync: ON CONFLICT ROLLBACK in it': [
    'workerd has an internal error here; the transaction that is gone cannot commit, and the object goes on',
    {"value":{"value":["!Error: Cannot commit transaction due to an earlier SQL critical error",[],"fine again",[[2]]]}},
  ],
};
